import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { foreignEnvironment, installPacked } from '../support/packed.ts';

const examples = [
  { name: 'express-upload', needs: ['express'], data: ['uploads', '.uploads.sync-agent'] },
  { name: 'fastify-upload', needs: ['fastify', 'better-sqlite3'], data: ['data', '.data.sync-agent'] },
] as const;

/** As users have them: a copy of the example, with what it depends on installed. */
describe.each(examples)('examples/$name', ({ name, needs, data }) => {
  let root: string;
  let directory: string;
  let server: Server | undefined;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'sync-agent-upload-'));
    directory = join(root, 'app');
    const source = fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));
    await cp(source, directory, {
      recursive: true,
      filter: (path) => !path.slice(source.length).includes('node_modules'),
    });
    installPacked(directory, needs);
  });
  afterEach(async () => {
    await server?.kill();
    server = undefined;
    await rm(root, { recursive: true, force: true });
  });

  const start = async (): Promise<Server> => (server = await startServer(directory, join(root, 'remote')));
  const loseDisk = (): Promise<unknown> =>
    Promise.all(data.map((each) => rm(join(directory, each), { recursive: true })));

  it('has an upload again on a new disk, whether it was killed or told to stop', async () => {
    const photo = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * index) % 251));
    let { url, said, kill, stop } = await start();
    await said('restore: empty-remote');
    await upload(url, 'photo.jpg', photo);
    await said(/^backup: committed /);
    await kill();
    await loseDisk();

    ({ url, said, kill, stop } = await start());
    await said('restore: restored');
    expect(await download(url, 'photo.jpg')).toEqual(photo);
    expect((await fetch(`${url}/files/other`)).status).toBe(404);
    // Within the interval: this one is saved because it is told to stop.
    await upload(url, 'note.txt', Buffer.from('a note'));
    expect(await stop()).toBe(0);
    await loseDisk();

    ({ url, said } = await start());
    expect(await download(url, 'photo.jpg')).toEqual(photo);
    expect((await download(url, 'note.txt')).toString()).toBe('a note');
    const health = (await (await fetch(`${url}/health`)).json()) as { lastSnapshot: object | null };
    expect(health).toMatchObject({ dirtySinceMs: null, lastSnapshot: { id: expect.any(String) as string } });
  });

  it('does not start when the restore fails', async () => {
    const { url, said, kill } = await start();
    await upload(url, 'photo.jpg', Buffer.from('photo'));
    await said(/^backup: committed /);
    await kill();
    await loseDisk();
    // The current files would do, too.
    for (const each of await readdir(join(root, 'remote')))
      if (each !== 'commits') await rm(join(root, 'remote', each), { recursive: true });
    await expect(start()).rejects.toThrow('ended before it listened');
  });
});

async function upload(url: string, name: string, content: Buffer<ArrayBuffer>): Promise<void> {
  const response = await fetch(`${url}/files/${name}`, { method: 'PUT', body: content });
  expect([response.status, await response.json()]).toEqual([201, { stored: name }]);
}

async function download(url: string, name: string): Promise<Buffer> {
  const response = await fetch(`${url}/files/${name}`);
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}

interface Server {
  readonly url: string;
  /** Resolves once a line like that was printed. */
  said(line: string | RegExp): Promise<void>;
  /** As a host is told to stop. Resolves to the exit code. */
  stop(): Promise<number | null>;
  /** As a machine vanishes. */
  kill(): Promise<void>;
}

async function startServer(directory: string, remote: string): Promise<Server> {
  const child = spawn(process.execPath, ['server.mjs'], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...foreignEnvironment(), PORT: '0', SYNC_AGENT_REMOTE: pathToFileURL(remote).href },
  });
  const lines: string[] = [];
  let news: () => void = () => undefined;
  let hasEnded = false;
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => {
      lines.push(line);
      news();
    });
  }
  const ended = once(child, 'close').then(([exitCode]) => {
    hasEnded = true;
    news();
    return exitCode as number | null;
  });
  const find = async (wanted: string | RegExp): Promise<string | undefined> => {
    for (;;) {
      const found = lines.find((line) => (typeof wanted === 'string' ? line === wanted : wanted.test(line)));
      if (found !== undefined || hasEnded) return found;
      await new Promise<void>((resolve) => (news = resolve));
    }
  };
  const listening = await find(/^listening on /);
  if (listening === undefined) throw new Error(`The server ended before it listened:\n${lines.join('\n')}`);
  return {
    url: listening.slice('listening on '.length),
    said: async (wanted) => {
      if ((await find(wanted)) === undefined)
        throw new Error(`The server ended before it said "${wanted}":\n${lines.join('\n')}`);
    },
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
