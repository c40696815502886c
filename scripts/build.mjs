/**
 * Builds dist/: compiled modules and their types for the library, and bundles for the command line, whose start-up is
 * felt at every boot of an application. `node scripts/build.mjs [DIRECTORY]`, by default dist.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { bundleOptions, programOptions, scriptOptions, seldomEntries } from './bundle-options.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const outdir = process.argv[2] ?? join(root, 'dist');

rmSync(outdir, { recursive: true, force: true });
const tsc = join(root, 'node_modules/typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', outdir], {
  stdio: 'inherit',
});

const place = { absWorkingDir: root, outdir };
const shared = { ...bundleOptions, ...place };
// The compiled modules that a bundle replaces.
const replacing = { ...place, allowOverwrite: true };
await build({ ...programOptions, ...replacing, entryPoints: { program: 'src/program.ts' } });
await build({ ...scriptOptions, ...place, entryPoints: seldomEntries });
const program = readFileSync(join(outdir, 'program.cjs'));
if (program.some((byte) => byte > 0x7f))
  throw new Error('program.cjs is not ASCII, as start/kept-code.ts reads it');
const programId = createHash('sha256').update(program).digest('hex').slice(0, 16);
await build({
  ...bundleOptions,
  ...replacing,
  splitting: false,
  define: { programId: JSON.stringify(programId) },
  entryPoints: { bin: 'src/bin.ts', 'operation-child': 'src/start/operation-child.ts' },
});
// A worker needs little of what the agent needs.
await build({
  ...shared,
  entryPoints: {
    'inspect-worker': 'src/stores/inspect-worker.ts',
    'mend-worker': 'src/stores/mend-worker.ts',
    'compare-worker': 'src/stores/capture/delta/compare-worker.ts',
    'hash-worker': 'src/formats/plain/hash-worker.ts',
  },
});
chmodSync(join(outdir, 'bin.js'), 0o755);
