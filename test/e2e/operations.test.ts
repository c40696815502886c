import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AgentEvent, RequestCounts } from '../../src/platform/events.ts';
import type { operationsInProcesses as OperationsInProcesses } from '../../src/operations/operation-process.ts';
import { builtUrl, importBuilt } from '../support/built-cli.ts';

// Compiled, as callers have it: processes of sources start ten times slower.
const { operationsInProcesses } = await importBuilt<{
  readonly operationsInProcesses: typeof OperationsInProcesses;
}>('operations/operation-process.js');

let root: string;
let store: string;
let settings: { readonly store: string; readonly remote: string };

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-operations-'));
  store = join(root, 'store');
  await mkdir(store);
  await writeFile(join(store, 'a'), 'one');
  settings = { store, remote: pathToFileURL(join(root, 'remote')).href };
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('operations in processes of their own', () => {
  it('answer as an agent does, with its events and its costs', async () => {
    const events: AgentEvent[] = [];
    const costs: RequestCounts[] = [];
    const operations = operationsInProcesses(settings, {
      emit: (event) => events.push(event),
      onRequests: (requests) => costs.push(requests),
    });
    const result = await operations.backup();
    expect(result).toMatchObject({ type: 'committed', files: 1 });
    expect(events.map((event) => event.type)).toContain('committed');
    expect(costs[0]?.put).toBeGreaterThan(0);
    expect((await operations.list()).map((each) => each.id)).toEqual(['id' in result ? result.id : '']);
    await rm(store, { recursive: true });
    expect(await operations.restore()).toMatchObject({ type: 'restored' });
    expect(await readFile(join(store, 'a'), 'utf8')).toBe('one');
  });

  it('fail with the same error', async () => {
    const operations = operationsInProcesses(settings);
    await expect(operations.show('no-such-snapshot')).rejects.toMatchObject({
      name: 'SyncAgentError',
      code: 'NOT_FOUND',
      remedy: expect.any(String) as string,
    });
  });

  it('tell whether it was the remote that was out of reach', async () => {
    const server = createServer((_, response) => response.writeHead(403).end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
    const s3 = { endpoint, region: 'us-east-1', forcePathStyle: true, credentials };
    const refused = operationsInProcesses({ store, remote: 's3://bucket/x', s3 });
    await expect(refused.restore()).rejects.toMatchObject({ code: 'DENIED', outOfReach: true });
    server.close();
    await operationsInProcesses(settings).backup();
    await rm(join(root, '.store.sync-agent/state.json'));
    await mkdir(join(root, '.store.sync-agent/state.json'));
    const own = operationsInProcesses(settings).restore();
    await expect(own).rejects.toMatchObject({ code: 'DENIED', outOfReach: false });
  });

  it('cost no request while nothing changes', async () => {
    const costs: RequestCounts[] = [];
    const operations = operationsInProcesses(settings, { onRequests: (requests) => costs.push(requests) });
    await operations.backup();
    await new Promise((resolve) => setTimeout(resolve, 30));
    await operations.backup();
    const turn = await operations.backUpAndList({ local: { minIntervalMs: 0 } });
    expect(turn).toMatchObject({ result: { type: 'unchanged' }, history: undefined });
    expect(Object.values(costs.at(-1) ?? { none: 1 }).every((count) => count === 0)).toBe(true);
  });

  it('end when they are aborted, and leave nothing behind', async () => {
    const aborter = new AbortController();
    const operations = operationsInProcesses(settings, {
      emit: (event) => {
        if (event.type === 'phase' && event.phase === 'upload') aborter.abort(new Error('enough'));
      },
    });
    await expect(operations.backup({ signal: aborter.signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
    expect(await readdir(join(root, '.store.sync-agent/staging')).catch(() => [])).toEqual([]);
    // The lock went with the process.
    await expect(operations.backup()).resolves.toMatchObject({ type: 'committed' });
  });

  it('leave the locks alone that this process holds on the store', async () => {
    const path = join(store, 'db.sqlite');
    const ours = new Database(path);
    ours.exec('CREATE TABLE t (x)');
    ours.exec('BEGIN IMMEDIATE; INSERT INTO t VALUES (1)');
    const operations = operationsInProcesses({ ...settings, captureTimeoutMs: 200 });
    // Our transaction keeps the fence from being raised: that is what makes it a test of our lock.
    await expect(operations.backup()).rejects.toMatchObject({ code: 'BUSY' });
    await expect(canWrite(path)).resolves.toBe(false);
    ours.exec('COMMIT');
    await expect(operations.backup()).resolves.toMatchObject({ type: 'committed', records: 1 });
    ours.exec('BEGIN IMMEDIATE');
    await operations.status();
    await expect(canWrite(path)).resolves.toBe(false);
    ours.close();
  });

  it('keep to themselves what they print, and say it when they die', async () => {
    const hook = join(root, 'hook.cjs');
    await writeFile(
      hook,
      `if (process.send) {
         console.log('on stdout'); console.error('on stderr');
         if (process.env.TEST_DIES) process.exit(3);
       }`,
    );
    const ask = join(root, 'ask.mjs');
    await writeFile(
      ask,
      `import { operationsInProcesses } from ${JSON.stringify(builtUrl('operations/operation-process.js'))};
       const operations = operationsInProcesses(${JSON.stringify(settings)});
       await operations.list().catch(({ code, cause }) => console.log(code, cause));`,
    );
    const run = (env: NodeJS.ProcessEnv) =>
      promisify(execFile)(process.execPath, [ask], {
        env: { ...process.env, NODE_OPTIONS: `--require ${hook}`, ...env },
      });
    expect(await run({})).toEqual({ stdout: '', stderr: '' });
    expect(await run({ TEST_DIES: '1' })).toEqual({ stdout: 'INTERNAL on stderr\n\n', stderr: '' });
  });

  it('refuse options that are no plain data, and leave no process behind', async () => {
    const ask = join(root, 'ask.mjs');
    await writeFile(
      ask,
      `import { operationsInProcesses } from ${JSON.stringify(builtUrl('operations/operation-process.js'))};
       const operations = operationsInProcesses(${JSON.stringify(settings)});
       await operations.backup({ log() {} }).catch(({ code }) => console.log(code));`,
    );
    // It ends: nothing waits for an answer that never comes.
    expect(await promisify(execFile)(process.execPath, [ask])).toEqual({ stdout: 'USAGE\n', stderr: '' });
  });

  it('end when the process that asked dies', async () => {
    const script = join(root, 'ask.mjs');
    const source = builtUrl('operations/operation-process.js');
    await writeFile(
      script,
      `import { operationsInProcesses } from ${JSON.stringify(source)};
       const operations = operationsInProcesses(${JSON.stringify(settings)}, {
         emit: (event) => { if (event.type === 'phase') process.kill(process.pid, 'SIGKILL'); },
       });
       await operations.backup();`,
    );
    await expect(promisify(execFile)(process.execPath, [script])).rejects.toMatchObject({
      signal: 'SIGKILL',
    });
    const operations = operationsInProcesses(settings);
    for (;;) {
      // The orphan still cleans up, or is through already.
      const result = await operations.backup().catch((error: unknown) => error);
      if (!(result instanceof Error)) break;
      expect(result).toMatchObject({ code: 'BUSY' });
    }
  });
});

/** Whether another process could write the database now. */
async function canWrite(path: string): Promise<boolean> {
  const script = `import Database from 'better-sqlite3';
    new Database(process.argv[1], { timeout: 0 }).exec('BEGIN IMMEDIATE');`;
  return promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, path], {
    cwd: new URL('../..', import.meta.url),
  }).then(
    () => true,
    () => false,
  );
}
