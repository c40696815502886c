import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import type { BuildOptions } from 'esbuild';

const repository = fileURLToPath(new URL('../..', import.meta.url));

/** How the command line is bundled. */
export async function bundleOptions(): Promise<BuildOptions> {
  const module = pathToFileURL(join(repository, 'scripts/bundle-options.mjs')).href;
  return ((await import(module)) as { bundleOptions: BuildOptions }).bundleOptions;
}

/** A program of test/support, bundled as the command line is, so that nothing but itself runs in its process. */
export async function buildProgram(name: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'sync-agent-program-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  await build({
    ...(await bundleOptions()),
    entryPoints: [join(repository, 'test/support', name)],
    outdir: join(directory, 'dist'),
  });
  cpSync(join(repository, 'package.json'), join(directory, 'package.json'));
  symlinkSync(join(repository, 'node_modules'), join(directory, 'node_modules'));
  return join(directory, 'dist', basename(name, '.ts') + '.js');
}
