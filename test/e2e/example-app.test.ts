import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromaAvailable } from '../support/chroma-server.ts';
import { installPacked } from '../support/packed.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));

/** examples/chroma-app as a user has it: its own copy, with sync-agent and chromadb installed. No registry is asked. */
describe.skipIf(chromaAvailable() !== undefined)('the example application', () => {
  let root = '';
  let app: App | undefined;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'sync-agent-example-'));
    await cp(join(repository, 'examples/chroma-app'), join(root, 'app'), { recursive: true });
    installPacked(join(root, 'app'), ['chromadb']);
    await mkdir(join(root, 'app/node_modules/.bin'));
    await symlink('../sync-agent/dist/bin.js', join(root, 'app/node_modules/.bin/sync-agent'));
  });
  afterAll(async () => {
    await app?.kill();
    await rm(root, { recursive: true, force: true });
  });

  it('starts empty on an empty remote, and finds everything by query on a new disk', async () => {
    const directory = join(root, 'app');
    const documents = Array.from({ length: 40 }, (_, number) => ({
      id: `document-${number}`,
      text: `text of ${number}`,
      embedding: vector(number),
    }));

    app = await start(directory);
    expect(app.log()).toContain('no snapshot');
    expect(await app.post('/documents', { collection: 'notes', documents })).toEqual({ stored: 40 });
    expect(await app.post('/backup', {})).toMatchObject({ type: 'committed', records: 40 });
    await app.kill();
    await rm(join(directory, 'chroma'), { recursive: true });
    await rm(join(directory, '.chroma.sync-agent'), { recursive: true });
    expect((await readdir(directory)).toSorted()).not.toContain('chroma');

    app = await start(directory);
    expect(app.log()).toContain('Restored snapshot');
    for (const number of [0, 17, 39]) {
      expect(await app.post('/query', { collection: 'notes', embedding: vector(number), limit: 1 })).toEqual({
        total: 40,
        results: [{ id: `document-${number}`, text: `text of ${number}` }],
      });
    }
    await app.kill();
    app = undefined;
  });

  it('makes a last backup when it is told to stop', async () => {
    const directory = join(root, 'app');
    app = await start(directory);
    const documents = [{ id: 'last', text: 'the last one', embedding: vector(99) }];
    await app.post('/documents', { collection: 'notes', documents });
    await app.stop();
    const commits = await readdir(join(directory, 'remote/commits'));
    expect(commits).toHaveLength(2);
    const newest = JSON.parse(
      await readFile(join(directory, 'remote/commits', commits.toSorted().at(-1) ?? ''), 'utf8'),
    ) as { statistics: { records: number } };
    expect(newest.statistics.records).toBe(41);
    app = undefined;
  });

  it('does not start when the restore fails', async () => {
    const directory = join(root, 'app');
    await rm(join(directory, 'chroma'), { recursive: true });
    // The current files would do, too.
    for (const name of await readdir(join(directory, 'remote')))
      if (name !== 'commits') await rm(join(directory, 'remote', name), { recursive: true });
    await expect(start(directory)).rejects.toThrow('is missing');
    expect(await readdir(directory)).not.toContain('chroma');
  });
});

interface App {
  log(): string;
  post(path: string, body: object): Promise<unknown>;
  /** As a host is told to stop. */
  stop(): Promise<void>;
  /** As a machine vanishes. */
  kill(): Promise<void>;
}

/** `npm start`, with its prestart hook. */
async function start(directory: string): Promise<App> {
  const [port, chromaPort] = [await freePort(), await freePort()];
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(SYNC_AGENT_(?!GLIBC)|npm_)/i.test(name),
  );
  const child = spawn('npm', ['start'], {
    cwd: directory,
    // A group of its own, so that all of it can be ended: npm, sh, node, Chroma.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...Object.fromEntries(inherited),
      PORT: String(port),
      CHROMA_PORT: String(chromaPort),
      npm_config_offline: 'true',
      CHROMA_COMMAND: `exec '${join(repository, 'scripts/chroma-server.sh')}' start "$CHROMA_PATH" "$CHROMA_PORT"`,
    },
  });
  endWithUs(child);
  let output = '';
  const take = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const closed = once(child, 'close');
  const kill = async (): Promise<void> => {
    signalGroup(child, 'SIGKILL');
    await closed;
  };
  const url = `http://127.0.0.1:${port}`;
  for (const deadline = Date.now() + 90_000; !output.includes(`listening on ${url}`); await sleep(50)) {
    if (child.exitCode === null && Date.now() < deadline) continue;
    await kill();
    throw new Error(`npm start did not come up:\n${output}`);
  }
  return {
    log: () => output,
    post: async (path, body) => {
      const response = await fetch(url + path, { method: 'POST', body: JSON.stringify(body) });
      const text = await response.text();
      if (!response.ok) throw new Error(`${path}: ${response.status} ${text}\n${output}`);
      return JSON.parse(text) as unknown;
    },
    // npm passes SIGTERM on to what it runs.
    stop: async () => {
      child.kill('SIGTERM');
      await closed;
    },
    kill,
  };
}

/** Kills the group once this process is gone, however that came: nothing else would end what is detached. */
function endWithUs(child: ChildProcess): void {
  const guard = spawn('sh', ['-c', `read -r _; kill -KILL -${child.pid}`], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.once('close', () => guard.kill('SIGKILL'));
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended already.
  }
}

function vector(seed: number): number[] {
  return Array.from({ length: 16 }, (_, index) => Math.sin(seed * 13 + index * 5));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('Cannot find a free port');
  return address.port;
}
