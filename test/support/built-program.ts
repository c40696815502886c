import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const repository = fileURLToPath(new URL('../..', import.meta.url));

/** A program of test/support, bundled as the command line is, so that nothing but itself runs in its process. */
export async function buildProgram(name: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'sync-agent-program-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  await build({
    entryPoints: [join(repository, 'test/support', name)],
    outdir: join(directory, 'dist'),
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['better-sqlite3', 'koffi'],
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
    logLevel: 'warning',
  });
  cpSync(join(repository, 'package.json'), join(directory, 'package.json'));
  symlinkSync(join(repository, 'node_modules'), join(directory, 'node_modules'));
  return join(directory, 'dist', basename(name, '.ts') + '.js');
}
