import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bundleOptions } from '../support/built-program.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
let directory = '';

/** The libraries for metrics and logs are CommonJS, and one likes worker files: what a bundle may break. */
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sync-agent-bundle-'));
  const entry = join(root, 'test/support/bundled-agent.ts');
  await build({
    ...(await bundleOptions()),
    absWorkingDir: root,
    entryPoints: { agent: entry },
    outdir: join(directory, 'dist'),
  });
  cpSync(join(root, 'package.json'), join(directory, 'package.json'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it('the bundle, without its packages, serves everything and logs JSON', async () => {
  const child = spawn(process.execPath, [join(directory, 'dist/agent.js')], { cwd: directory });
  try {
    let complaints = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
    const [line] = (await Promise.race([
      once(createInterface(child.stdout), 'line'),
      once(child, 'exit').then(() => [`it ended: ${complaints}`]),
    ])) as [string];
    const log = JSON.parse(line) as { type: string; url: string; msg: string };
    expect(log).toMatchObject({
      level: 'info',
      type: 'listening',
      msg: `Status page and metrics at ${log.url}`,
    });
    const get = async (path: string) => (await fetch(new URL(path, log.url))).text();
    expect(await get('metrics')).toContain(
      'sync_agent_operations_total{operation="backup",outcome="committed"} 1',
    );
    expect(await get('')).toContain('All saved');
    expect(JSON.parse(await get('status.json'))).toMatchObject({ store: '/srv/app/chroma' });
  } finally {
    child.kill();
  }
});
