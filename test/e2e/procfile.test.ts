import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildCli } from '../support/built-cli.ts';
import { readDocument } from '../support/documents.ts';

const line = /^web: (.*)$/m.exec(readDocument('deploy/procfile/Procfile'))?.[1] ?? '';

/** Says what it finds, writes one more line, and another when it is told to stop. */
const server = `
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
mkdirSync('store', { recursive: true });
const write = (text) => appendFileSync('store/log', text + '\\n');
let found = 'nothing';
try { found = readFileSync('store/log', 'utf8').trim().split('\\n').join(' '); } catch {}
process.once('SIGTERM', () => { write('stopped'); process.exit(0); });
write('written');
console.log('found ' + found);
setInterval(() => undefined, 1000);
`;

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sync-agent-procfile-'));
  await mkdir(join(directory, 'node_modules/.bin'), { recursive: true });
  await symlink(buildCli(), join(directory, 'node_modules/.bin/sync-agent'));
  await writeFile(join(directory, 'server.mjs'), server);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Until the application speaks, then SIGTERM, as a dyno gets it; answers with what the application said. */
async function deployOnce(): Promise<{ readonly said: string; readonly exitCode: number | null }> {
  const child = spawn('sh', ['-c', line], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      SYNC_AGENT_STORE: './store',
      SYNC_AGENT_ADAPTER: 'files',
      SYNC_AGENT_REMOTE: `file://${join(directory, 'remote')}`,
      SYNC_AGENT_SHUTDOWN_BUDGET: '20s',
      SYNC_AGENT_HTTP: 'off',
    },
  });
  const exit = once(child, 'exit');
  let said = '';
  for await (const text of createInterface({ input: child.stdout })) {
    if (!text.startsWith('found ')) continue;
    said = text;
    child.kill('SIGTERM');
  }
  await exit;
  return { said, exitCode: child.exitCode };
}

it("the Procfile's command brings back, on a new disk, what the application wrote up to its end", async () => {
  expect(await deployOnce()).toEqual({ said: 'found nothing', exitCode: 0 });
  expect(await readFile(join(directory, 'store/log'), 'utf8')).toBe('written\nstopped\n');
  await rm(join(directory, 'store'), { recursive: true });
  await rm(join(directory, '.store.sync-agent'), { recursive: true });
  expect(await deployOnce()).toEqual({ said: 'found written stopped', exitCode: 0 });
});
