/**
 * Builds dist/: compiled modules and their types for the library, and bundles for the command line, whose start-up is
 * felt at every boot of an application. `node scripts/build.mjs [DIRECTORY]`, by default dist.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { bundleOptions } from './bundle-options.mjs';
import { oneStart } from './one-start.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const outdir = process.argv[2] ?? join(root, 'dist');

rmSync(outdir, { recursive: true, force: true });
const tsc = join(root, 'node_modules/typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', outdir], {
  stdio: 'inherit',
});

const options = { ...bundleOptions, absWorkingDir: root, outdir };
// The SDK is a chunk of its own, loaded for s3:// only.
await build({
  ...options,
  entryPoints: { bin: 'src/bin.ts', 'operation-child': 'src/operations/operation-child.ts' },
  plugins: [oneStart(root)],
  // The compiled bin gives way to its bundle.
  allowOverwrite: true,
});
// A worker needs little of what the agent needs.
await build({
  ...options,
  entryPoints: {
    'inspect-worker': 'src/stores/inspect-worker.ts',
    'mend-worker': 'src/stores/mend-worker.ts',
    'compare-worker': 'src/stores/capture/delta/compare-worker.ts',
    'hash-worker': 'src/formats/plain/hash-worker.ts',
  },
});
chmodSync(join(outdir, 'bin.js'), 0o755);
