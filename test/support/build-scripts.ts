import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { TestProject } from 'vitest/node';
import { bundleOptions } from './built-program.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const variable = 'SYNC_AGENT_TEST_SCRIPTS';

/**
 * Bundles what the sources start in threads and processes of their own, once for all projects of a run. Below node_modules,
 * where native packages are found. Watched sources change, and are loaded as they are.
 */
export async function setup({ config }: TestProject): Promise<(() => void) | undefined> {
  if (config.watch || process.env[variable] !== undefined) return undefined;
  const cache = join(repository, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const outdir = mkdtempSync(join(cache, 'sync-agent-scripts-'));
  process.env[variable] = outdir;
  await build({
    ...(await bundleOptions()),
    absWorkingDir: repository,
    entryPoints: ['src/stores/inspect-worker.ts', 'src/operations/operation-child.ts'],
    entryNames: '[name]',
    outdir,
  });
  return () => {
    delete process.env[variable];
    rmSync(outdir, { recursive: true, force: true });
  };
}
