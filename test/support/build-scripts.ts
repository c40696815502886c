import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { TestProject } from 'vitest/node';
import { bundleOptions } from './built-program.ts';
import { childScripts } from './child-script.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const variable = 'SYNC_AGENT_TEST_SCRIPTS';

/**
 * Bundles what the sources and the tests start in threads and processes of their own, once for all projects of a run.
 * Below node_modules, where packages are found. Watched sources change, and are loaded as they are.
 */
export async function setup({ config }: TestProject): Promise<(() => void) | undefined> {
  if (config.watch || process.env[variable] !== undefined) return undefined;
  const cache = join(repository, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(join(cache, 'sync-agent-scripts-'));
  const outdir = join(directory, 'dist');
  process.env[variable] = outdir;
  // Its version is read from above.
  cpSync(join(repository, 'package.json'), join(directory, 'package.json'));
  const options = await bundleOptions();
  await build({
    ...options,
    external: [...(options.external ?? []), 'chromadb'],
    absWorkingDir: repository,
    entryPoints: [
      'src/stores/inspect-worker.ts',
      'src/stores/mend-worker.ts',
      'src/stores/capture/delta/compare-worker.ts',
      'src/formats/plain/hash-worker.ts',
      'src/operations/operation-child.ts',
      ...childScripts.map((name) => `test/support/${name}.ts`),
    ],
    entryNames: '[name]',
    outdir,
  });
  return () => {
    delete process.env[variable];
    rmSync(directory, { recursive: true, force: true });
  };
}
