import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OperationRecord } from '../../../src/home/operations/records.ts';
import { processIdentity } from '../../../src/home/operations/process-identity.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { childScript } from '../../support/child-script.ts';
import { fullDisk } from '../../support/full-disk.ts';
import { fastTmp, makeHost } from '../../support/host.ts';
import type { Host, HostOptions } from '../../support/host.ts';
import { unpackFixture } from '../../support/fixtures.ts';

let remote: Remote;
const hosts: Host[] = [];
beforeEach(() => {
  remote = createMemoryRemote({ now: () => Date.now() });
});
afterEach(async () => {
  for (const each of hosts.splice(0)) await each.remove();
});

async function host(options: Partial<HostOptions> = {}): Promise<Host> {
  const made = await makeHost({ remote, settings: { host: hostname() }, ...options });
  hosts.push(made);
  return made;
}

const logDirectory = ({ root }: Host): string => join(root, '.store.sync-agent/operations');
const linesOf = async (each: Host): Promise<readonly Record<string, unknown>[]> =>
  (await readFile(join(logDirectory(each), '000001.jsonl'), 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const brief = (records: readonly OperationRecord[]) =>
  records.map(({ operation, state, outcome }) => `${operation} ${state} ${outcome}`);

/** The beginning of an operation whose process is gone, as a killed one leaves it. */
async function leaveOpen(each: Host, operation: string, name?: string): Promise<void> {
  await mkdir(logDirectory(each), { recursive: true });
  const entry = {
    event: 'begin',
    id: `open-${operation}`,
    at: new Date().toISOString(),
    operation,
    ...(name === undefined ? {} : { name }),
    host: hostname(),
    user: 'somebody',
    pid: process.pid,
    // This pid, in another life.
    process: '0123abcd-1',
    program: 'app.mjs',
    before: null,
  };
  await appendFile(join(logDirectory(each), '000001.jsonl'), `${JSON.stringify(entry)}\n`);
}

/** Garbage in the place of an index's header. */
async function damage({ store }: Host): Promise<void> {
  const header =
    (await readdir(store, { recursive: true })).find((path) => path.endsWith('header.bin')) ?? '';
  const bytes = await readFile(join(store, header));
  await writeFile(join(store, header), bytes.fill(0xab, 0, 40));
}

describe('the operation log', () => {
  it('has a beginning before the work, and an end with the snapshots before and after it', async () => {
    const here = await host();
    await here.write({ a: 'one' });
    let atFirstPut: readonly Record<string, unknown>[] = [];
    const seen: Remote = {
      ...remote,
      put: async (...args) => {
        if (atFirstPut.length === 0) atFirstPut = await linesOf(here);
        return remote.put(...args);
      },
    };
    const first = await here.agent.backup();
    const again = await host({ root: here.root, remote: seen });
    await here.write({ a: 'two' });
    const second = await again.agent.backup();
    if (first.type !== 'committed' || second.type !== 'committed') throw new Error('not committed');
    const { username } = userInfo();
    const who = { host: hostname(), user: username, pid: process.pid, process: processIdentity(process.pid) };
    expect(atFirstPut.at(-1)).toMatchObject({
      event: 'begin',
      operation: 'backup',
      before: first.id,
      ...who,
    });
    expect(atFirstPut).toHaveLength(3);
    const lines = await linesOf(here);
    expect(lines).toHaveLength(4);
    expect(lines.at(-1)).toMatchObject({
      event: 'end',
      id: lines.at(-2)?.['id'],
      outcome: 'committed',
      snapshot: second.id,
      after: second.id,
    });
    expect(await here.agent.operationLog()).toMatchObject([
      { state: 'done', before: null, after: first.id },
      { state: 'done', before: first.id, after: second.id, ...omit(who, 'process') },
    ]);
  });

  it('has what changes store or remote, who asked for it, and what became of it', async () => {
    const here = await host({ ports: { program: 'app.mjs' } });
    await here.write({ a: 'one' });
    const first = await here.agent.backup();
    await here.write({ a: 'two' });
    await here.agent.backup();
    await here.agent.pin('latest', { reason: 'kept' });
    await here.agent.unpin('latest');
    await here.agent.restore({ snapshot: '~1' });
    const [copy] = await here.agent.rollbackCopies();
    await here.agent.rollBack(copy?.name ?? '');
    await here.agent.sync();
    const lease = await here.agent.acquireLease({ ttlMs: 60_000 });
    await here.agent.renewLease(lease);
    await here.agent.releaseLease(lease);
    const cleared = await here.agent.clearHistory();
    await expect(here.agent.restore({ snapshot: 'no-such' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const records = await here.agent.operationLog();
    expect(brief(records)).toEqual([
      'backup done committed',
      'backup done committed',
      'pin done done',
      'unpin done done',
      'restore done restored',
      'rollback done done',
      'sync done committed',
      'acquire-lease done done',
      'release-lease done released',
      'clear-history done done',
      'restore failed failed',
    ]);
    expect(new Set(records.map(({ program }) => program))).toEqual(new Set(['app.mjs']));
    expect(cleared.dropped.length).toBeGreaterThan(0);
    expect(records.at(-2)?.dropped).toEqual(cleared.dropped);
    expect(records[4]).toMatchObject({ snapshot: first.type === 'committed' ? first.id : '' });
    expect(records[4]?.rollbackCopy).toBe(copy?.name);
    expect(records.at(-1)?.error).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('has nothing of an operation that found nothing to do, of a dry run, and of a question', async () => {
    const here = await host();
    await here.write({ a: 'one' });
    await here.agent.backup({ dryRun: true });
    expect(await readdir(here.root)).not.toContain('operations');
    await here.agent.backup();
    const before = await linesOf(here);
    expect((await here.agent.backup()).type).toBe('unchanged');
    expect((await here.agent.restore()).type).toBe('equal');
    expect((await here.agent.sync()).type).toBe('unchanged');
    await here.agent.prune({ dryRun: true });
    await here.agent.list();
    await here.agent.verify({ readData: true });
    await here.agent.check();
    expect(await linesOf(here)).toEqual(before);
  });

  it('has a renewal only if the lease is lost: while the remote is out of reach, one fails every few seconds', async () => {
    const here = await host();
    await here.write({ a: 'one' });
    await here.agent.backup();
    const lease = await here.agent.acquireLease({ ttlMs: 60_000 });
    const before = await linesOf(here);
    const away: Remote = {
      ...remote,
      put: () => Promise.reject(new SyncAgentError('REMOTE_UNREACHABLE', 'away')),
    };
    const again = await host({ root: here.root, remote: away });
    await expect(again.agent.renewLease(lease)).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' });
    expect(await linesOf(here)).toEqual(before);
    await (await host()).agent.acquireLease({ ttlMs: 60_000, onTimeout: 'take-over' });
    expect(await here.agent.renewLease(lease)).toMatchObject({ type: 'lost' });
    expect(brief(await here.agent.operationLog()).at(-1)).toBe('renew-lease done lost');
  });

  it('leaves no home where there was none', async () => {
    const here = await host();
    await here.write({ a: 'one' });
    await here.agent.backup();
    const elsewhere = await host();
    await elsewhere.agent.pin('latest');
    expect(await readdir(elsewhere.root)).toEqual([]);
    expect(elsewhere.events.filter(({ type }) => type === 'warning')).toEqual([]);
  });

  it('hides credentials', async () => {
    const broken: Remote = {
      ...remote,
      put: () =>
        Promise.reject(
          new SyncAgentError(
            'DENIED',
            'Cannot put to https://user:hunter2@host/x?X-Amz-Signature=abcdef: password=hunter2',
          ),
        ),
    };
    const here = await host({ remote: broken, ports: { program: 'app --token=hunter2' } });
    await here.write({ a: 'one' });
    await expect(here.agent.backup()).rejects.toMatchObject({ code: 'DENIED' });
    const text = JSON.stringify(await linesOf(here));
    expect(text).toContain('Cannot put to https://[redacted]@host/x?X-Amz-Signature=[redacted]');
    expect(text).not.toMatch(/hunter2|abcdef/);
  });

  it('shows an operation that was killed as open, one that runs as running, until a sound backup', async () => {
    const here = await host();
    await here.write({ a: 'one' });
    await leaveOpen(here, 'protect', 'recreate');
    expect(brief(await here.agent.operationLog())).toEqual(['protect open null']);
    const running: string[] = [];
    const slow: Remote = {
      ...remote,
      put: async (...args) => {
        running.push(...brief(await here.agent.operationLog()));
        return remote.put(...args);
      },
    };
    await (await host({ root: here.root, remote: slow })).agent.backup();
    expect(running.slice(0, 2)).toEqual(['protect open null', 'backup running null']);
    expect(brief(await here.agent.operationLog())).toEqual(['protect open killed', 'backup done committed']);
  });

  it('names what was not over when the store was last sound, if damage is found', async () => {
    const here = await host();
    unpackFixture('chroma-1-a', here.store);
    await here.agent.backup();
    const named = (): readonly string[] =>
      here.events.flatMap((event) =>
        event.type === 'warning' && /appeared during/.test(event.message) ? [event.message] : [],
      );
    await leaveOpen(here, 'protect', 'recreate');
    await damage(here);
    await expect(here.agent.backup()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(named()).toEqual([
      expect.stringMatching(
        /^The damage may have appeared during "recreate" \(protect\), which did not finish: begun .* by app\.mjs/,
      ),
    ]);
    expect((await here.agent.check()).damage).not.toEqual([]);
    expect(named()).toHaveLength(2);
    await here.agent.restore({ force: true });
    await damage(here);
    expect((await here.agent.check()).damage).not.toEqual([]);
    expect(named()).toHaveLength(2);
  });

  it('loses a torn line and no other', async () => {
    const here = await host();
    await here.write({ a: 'one' });
    await here.agent.backup();
    const path = join(logDirectory(here), '000001.jsonl');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.slice(0, -20));
    await here.write({ a: 'two' });
    await here.agent.backup();
    // This process, whose end of it was lost, is still there.
    expect(brief(await here.agent.operationLog())).toEqual(['backup running null', 'backup done committed']);
    // The line after the torn one is whole.
    expect((await here.agent.operationLog())[1]).toMatchObject({ pid: process.pid });
    await appendFile(path, '{"event":"begin"}\nno JSON\n\u0000\n[]\n');
    expect(await here.agent.operationLog()).toHaveLength(2);
  });

  it.each(['ENOSPC', 'EROFS', 'EACCES'] as const)(
    'that cannot be written (%s) fails no backup: a warning tells',
    async (code) => {
      const { fs } = fullDisk({ failAt: 1, error: code });
      const here = await host({
        fs: { ...nodeFileSystem, appendLine: (path, line) => fs.appendLine(path, line) },
      });
      await here.write({ a: 'one' });
      expect((await here.agent.backup()).type).toBe('committed');
      expect((await here.agent.pin('latest')).isChanged).toBe(true);
      const warnings = here.events.filter((event) => event.type === 'warning');
      expect(warnings).toEqual([
        expect.objectContaining({
          message: expect.stringContaining('Cannot write the operation log') as string,
        }),
      ]);
    },
  );

  it('does not follow a link out of the home', async () => {
    const here = await host();
    const outside = await mkdtemp(join(fastTmp, 'outside-'));
    await here.write({ a: 'one' });
    await mkdir(join(here.root, '.store.sync-agent'));
    await symlink(outside, logDirectory(here));
    expect((await here.agent.backup()).type).toBe('committed');
    expect(await readdir(outside)).toEqual([]);
    expect(JSON.stringify(here.events)).toContain('it is not a real directory');
    await rm(outside, { recursive: true });
  });

  it('is bounded, and loses no line of processes that write at once', async () => {
    const here = await host();
    const dir = join(here.root, '.store.sync-agent');
    await mkdir(dir);
    const { file, execArgv } = childScript('append-many-child');
    const each = 450;
    const exits = ['p', 'q', 'r'].map(async (name) => {
      const child = spawn(process.execPath, [...execArgv, file, dir, name, String(each)], {
        stdio: 'inherit',
      });
      return (await once(child, 'exit'))[0] as unknown;
    });
    expect(await Promise.all(exits)).toEqual([0, 0, 0]);
    const names = (await readdir(join(dir, 'operations'))).toSorted();
    const texts = await Promise.all(names.map((name) => readFile(join(dir, 'operations', name), 'utf8')));
    expect(names.length).toBe(4);
    // A line more than a segment holds, from each process.
    for (const text of texts) expect(text.length).toBeLessThan(512 * 1024 + 4 * 4000);
    const lines = texts.flatMap((text) => text.split('\n').filter((line) => line !== ''));
    const numbers = new Map<string, number[]>();
    for (const line of lines) {
      const { name, number } = JSON.parse(line) as { name: string; number: number };
      numbers.set(name, [...(numbers.get(name) ?? []), number]);
    }
    for (const found of numbers.values()) {
      expect(found.at(-1)).toBe(each - 1);
      expect(found).toEqual(found.map((_, index) => each - found.length + index));
    }
    // 3 x 450 lines of 3 kB are more than four segments hold, so some were dropped, and most stay.
    expect(lines.length).toBeGreaterThan(500);
    expect(lines.length).toBeLessThan(3 * each);
  });

  it('shows what was not over at a time', async () => {
    const here = await host();
    await here.write({ a: 'one' });
    await here.agent.backup();
    const [{ endedAt } = { endedAt: null }] = await here.agent.operationLog();
    const endedAtMs = Date.parse(endedAt ?? '');
    expect(await here.agent.operationLog({ sinceMs: endedAtMs })).toHaveLength(1);
    expect(await here.agent.operationLog({ sinceMs: endedAtMs + 1 })).toEqual([]);
  });
});

function omit<T extends object>(object: T, name: keyof T): Partial<T> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => key !== name)) as Partial<T>;
}
