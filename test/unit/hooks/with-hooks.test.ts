import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CheckReport } from '../../../src/engine/reading/check-store.ts';
import type { Agent } from '../../../src/api/agent.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import type { AgentEvent } from '../../../src/platform/events.ts';
import type { HookDocument, Hooks } from '../../../src/hooks/hook.ts';
import { withHooks } from '../../../src/hooks/with-hooks.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

let root = '';
let log = '';
let remote: Remote;
let host: Host;
let events: AgentEvent[];
const closing: (() => unknown)[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-hooks-'));
  log = join(root, 'log');
  events = [];
  remote = createMemoryRemote({ now: () => Date.now() });
  host = await makeHost({ remote });
  await host.write({ 'a.txt': 'one' });
});
afterEach(async () => {
  for (const close of closing.splice(0)) close();
  await host.remove();
  await rm(root, { recursive: true, force: true });
});

function hooked(hooks: Hooks, agent: Agent = host.agent): Agent {
  const emit = (event: AgentEvent): void => void events.push(event);
  return withHooks(agent, hooks, { store: host.store, remote: 'file:///unused', host: 'host-a', emit });
}

const ended = () => events.filter((event) => event.type === 'hook');
const printed = () => events.flatMap((event) => (event.type === 'hook-output' ? [event.line] : []));
const logged = async (): Promise<string[]> =>
  (await readFile(log, 'utf8').catch(() => '')).split('\n').filter(Boolean);
/** All four hooks, each leaving its name and the result. */
const tracing = (): Hooks => {
  const trace = `echo "$HOOK_NAME $HOOK_RESULT $HOOK_ERROR_CODE" >>'${log}'`;
  return { beforeBackup: trace, afterBackup: trace, beforeRestore: trace, afterRestore: trace };
};

interface Webhook {
  readonly url: string;
  readonly requests: { readonly message: IncomingMessage; readonly body: string }[];
}

async function listen(answer: (response: ServerResponse) => void): Promise<Webhook> {
  const requests: Webhook['requests'] = [];
  const server = createServer((message, response) => {
    let body = '';
    message.setEncoding('utf8').on('data', (text: string) => (body += text));
    message.on('end', () => {
      requests.push({ message, body });
      answer(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

describe('the on-damage hook', () => {
  const report = (damage: readonly object[]): CheckReport => ({ damage }) as unknown as CheckReport;
  const checking = (damage: readonly object[]): Agent => ({
    ...host.agent,
    check: async () => report(damage),
  });
  const onDamage = (): Hooks => ({ onDamage: `echo "$HOOK_NAME $HOOK_RESULT" >>'${log}'` });

  it('is called after a check that found damage, and not after one that found none', async () => {
    const found = [{ message: 'a table is broken' }];
    expect(await hooked(onDamage(), checking(found)).check()).toEqual(report(found));
    expect(await logged()).toEqual(['on-damage damaged']);
    await hooked(onDamage(), checking([])).check();
    expect(await logged()).toHaveLength(1);
  });

  it('that fails changes no result', async () => {
    const found = [{ message: 'a table is broken' }];
    expect(await hooked({ onDamage: 'exit 3' }, checking(found)).check()).toEqual(report(found));
    expect(ended()).toMatchObject([{ hook: 'on-damage', outcome: 'failed' }]);
  });
});

describe('the after-drill hook', () => {
  const trace = (): Hooks => ({
    afterDrill: `echo "$HOOK_NAME $HOOK_RESULT $HOOK_SNAPSHOT $HOOK_ERROR_CODE" >>'${log}'`,
  });
  const drilling = (drill: () => Promise<unknown>): Agent => ({
    ...host.agent,
    drill: drill as Agent['drill'],
  });

  it('is called after a drill that passed, one that failed, and one that could not be carried out', async () => {
    const report = { type: 'failed', snapshot: 'some-id' };
    expect(
      await hooked(
        trace(),
        drilling(async () => report),
      ).drill(),
    ).toBe(report);
    await hooked(
      trace(),
      drilling(async () => ({ type: 'passed', snapshot: null })),
    ).drill();
    const full = drilling(() => Promise.reject(new SyncAgentError('DISK_FULL', 'Cannot drill')));
    await expect(hooked(trace(), full).drill()).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(await logged()).toEqual(['after-drill failed some-id ', 'after-drill passed  ', 'after-drill failed  DISK_FULL']); // prettier-ignore
  });

  it('is not called after a rehearsal', async () => {
    await hooked(
      trace(),
      drilling(async () => ({ type: 'passed', snapshot: 'id' })),
    ).drill({ damage: 'full-text' });
    expect(await logged()).toEqual([]);
  });
});

describe('hooks run', () => {
  it('before and after a backup that commits, and one that finds nothing new', async () => {
    const agent = hooked(tracing());
    await agent.backup();
    await agent.backup();
    expect(await logged()).toEqual([
      'before-backup  ',
      'after-backup committed ',
      'before-backup  ',
      'after-backup unchanged ',
    ]);
    expect(ended()).toMatchObject(Array.from({ length: 4 }, () => ({ outcome: 'ok' })));
  });

  it('after a backup that failed, with its code, and the failure stays what it was', async () => {
    await rm(host.store, { recursive: true });
    await expect(hooked(tracing()).backup()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await logged()).toEqual(['before-backup  ', 'after-backup failed NOT_FOUND']);
  });

  it('around the backup that a flush makes where nobody follows the log of the store, and not if it makes none', async () => {
    const agent = hooked(tracing());
    expect(await agent.flush({ isLogOnly: true })).toEqual({ type: 'not-followed' });
    expect(await logged()).toEqual([]);
    expect(await agent.flush()).toMatchObject({ type: 'committed' });
    expect(await logged()).toEqual(['before-backup  ', 'after-backup committed ']);
  });

  it('around a restore', async () => {
    await host.agent.backup();
    await host.wipe();
    await hooked(tracing()).restore();
    expect(await logged()).toEqual(['before-restore  ', 'after-restore restored ']);
  });

  it('around a sync, as those of what the sync does', async () => {
    const agent = hooked(tracing());
    await agent.sync();
    await host.wipe();
    await agent.sync();
    // Nothing is recorded of the store, so that its content decides.
    await rm(join(host.root, '.store.sync-agent'), { recursive: true });
    await agent.sync();
    await rm(join(host.root, '.store.sync-agent'), { recursive: true });
    await host.write({ 'a.txt': '' });
    await agent.sync();
    expect(await logged()).toEqual([
      'before-backup  ',
      'after-backup committed ',
      'before-restore  ',
      'after-restore restored ',
      'before-backup  ',
      'after-backup unchanged ',
      'before-restore  ',
      'after-restore restored ',
    ]);
  });

  it('not on a dry run', async () => {
    const agent = hooked(tracing());
    await agent.backup({ dryRun: true });
    await agent.restore({ dryRun: true });
    await agent.sync({ dryRun: true });
    expect(await logged()).toEqual([]);
  });

  it('outside the lock, so that they may use the store themselves', async () => {
    const { url, requests } = await listen((response) => {
      void host.agent.backup().then(
        () => response.end(),
        () => response.writeHead(500).end(),
      );
    });
    expect(await hooked({ beforeBackup: url, afterBackup: url }).backup()).toMatchObject({
      type: 'unchanged',
    });
    expect(requests).toHaveLength(2);
    expect(ended()).toMatchObject([{ outcome: 'ok' }, { outcome: 'ok' }]);
  });
});

describe('a command', () => {
  it('finds what it needs in its environment and the whole document on its input', async () => {
    const file = join(root, 'document');
    const agent = hooked({
      afterBackup: `cat >'${file}'; echo "$HOOK_STORE|$HOOK_REMOTE|$HOOK_HOST|$HOOK_SNAPSHOT|$HOOK_ERROR_CODE" >'${log}'`,
    });
    const result = await agent.backup();
    const id = result.type === 'committed' ? result.id : '';
    expect(await logged()).toEqual([`${host.store}|file:///unused|host-a|${id}|`]);
    const document = JSON.parse(await readFile(file, 'utf8')) as HookDocument;
    expect(document).toEqual({
      hook: 'after-backup',
      store: host.store,
      remote: 'file:///unused',
      host: 'host-a',
      at: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      result: JSON.parse(JSON.stringify(result)) as unknown,
    });
  });

  it('that fails before a backup is told, and the backup is made', async () => {
    expect(await hooked({ beforeBackup: 'echo sorry; exit 3' }).backup()).toMatchObject({
      type: 'committed',
    });
    expect(printed()).toEqual(['sorry']);
    expect(ended()).toMatchObject([
      { hook: 'before-backup', outcome: 'failed', message: 'it exited with 3' },
    ]);
  });

  it('that fails after a backup changes nothing about its result', async () => {
    expect(await hooked({ afterBackup: 'kill -9 $$' }).backup()).toMatchObject({ type: 'committed' });
    expect(ended()).toMatchObject([{ outcome: 'failed', message: 'it was ended by SIGKILL' }]);
  });

  it('that fails before a restore stops it, untouched, until it is forced', async () => {
    await host.agent.backup();
    const agent = hooked({ ...tracing(), beforeRestore: 'exit 1' });
    await host.wipe();
    await expect(agent.restore()).rejects.toMatchObject({ code: 'REFUSED' });
    await expect(agent.sync()).rejects.toMatchObject({ code: 'REFUSED' });
    expect(await host.read()).toBeUndefined();
    expect(await logged()).toEqual(['after-restore failed REFUSED', 'after-restore failed REFUSED']);
    await agent.restore({ force: true });
    expect(await host.read()).toEqual({ 'a.txt': 'one' });
  });

  it('that does not exist, or does not read its input, is no other matter', async () => {
    await hooked({ beforeBackup: 'no-such-command-at-all', afterBackup: 'exec 0<&-; true' }).backup();
    expect(ended()).toMatchObject([{ outcome: 'failed', message: 'it exited with 127' }, { outcome: 'ok' }]);
  });

  it('may leave a process behind that goes on, and is not waited for', async () => {
    await hooked({ afterBackup: `sleep 600 & echo $! >'${log}'` }).backup();
    const pid = Number((await logged())[0]);
    closing.push(() => process.kill(pid, 'SIGKILL'));
    expect(ended()).toMatchObject([{ outcome: 'ok' }]);
    expect(isRunning(pid)).toBe(true);
  });

  it('that takes too long is ended with all its processes, politely first', async () => {
    const command = `trap 'echo polite >>"${log}.trap"; exit' TERM; sh -c 'echo $$ >"${log}"; exec sleep 600' & wait`;
    const result = await hooked({ beforeBackup: command, timeoutMs: 500 }).backup();
    expect(result).toMatchObject({ type: 'committed' });
    expect(ended()).toMatchObject([{ outcome: 'timed-out', message: 'it took longer than 0.5 s' }]);
    expect(await readFile(`${log}.trap`, 'utf8')).toBe('polite\n');
    const pid = Number((await logged())[0]);
    await expect.poll(() => isRunning(pid)).toBe(false);
  });

  it('before a backup that must be over soon has ended by then, whatever its time-out', async () => {
    const stubborn = `trap '' TERM; while :; do sleep 1; done`;
    const result = await hooked({ beforeBackup: stubborn }).backup({ beforeHookMs: 1000 });
    expect(result).toMatchObject({ type: 'committed' });
    const [event] = ended();
    expect(event).toMatchObject({ outcome: 'timed-out', message: 'it took longer than 0.75 s' });
    // A quarter of a second to end, not the two that it has where nobody is in a hurry.
    expect(event?.durationMs).toBeLessThan(2500);
  });

  it('that will not be ended is killed, and so is what it started', async () => {
    const stubborn = `trap '' TERM; echo $$ >'${log}'; sh -c 'echo $$ >>"${log}"; while :; do sleep 1; done' & while :; do sleep 1; done`;
    await hooked({ afterBackup: stubborn, timeoutMs: 500 }).backup();
    const pids = (await logged()).map(Number);
    expect(pids).toHaveLength(2);
    await expect.poll(() => pids.filter(isRunning)).toEqual([]);
  });

  it('is ended by the interruption of the operation, which then does not begin', async () => {
    const controller = new AbortController();
    const agent = hooked({
      beforeBackup: `echo started; sleep 600`,
      afterBackup: `echo "$HOOK_ERROR_CODE" >'${log}'`,
    });
    const watch = (event: AgentEvent): void => {
      events.push(event);
      if (event.type === 'hook-output') controller.abort(new SyncAgentError('INTERRUPTED', 'Ctrl-C'));
    };
    const watched = withHooks(
      host.agent,
      { beforeBackup: `echo started; sleep 600`, afterBackup: `echo "$HOOK_ERROR_CODE" >'${log}'` },
      { store: host.store, remote: 'file:///unused', emit: watch },
    );
    await expect(watched.backup({ signal: controller.signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
    expect(ended()).toMatchObject([
      { outcome: 'failed', message: 'it was interrupted' },
      { hook: 'after-backup', outcome: 'ok' },
    ]);
    expect(await logged()).toEqual(['INTERRUPTED']);
    expect(await agent.list()).toEqual([]);
  });

  it.each([
    ['after', 'a backup that is committed stays so', {}],
    ['before', 'the one after the failure is cut short as well', { afterBackup: 'sleep 600' }],
  ] as const)(
    'that hangs %s it is killed within what time an interruption leaves: %s',
    async (when, _, others) => {
      const stubborn = `trap '' TERM; echo $$ >'${log}'; echo started; sleep 600; sleep 600`;
      const controller = new AbortController();
      let interruptedAt = 0;
      const watched = withHooks(
        host.agent,
        { ...others, [when === 'after' ? 'afterBackup' : 'beforeBackup']: stubborn },
        {
          store: host.store,
          remote: 'file:///unused',
          emit: (event) => {
            events.push(event);
            if (event.type !== 'hook-output') return;
            interruptedAt = performance.now();
            const untilMs = interruptedAt + 1200;
            controller.abort(new SyncAgentError('INTERRUPTED', 'no more time', { untilMs }));
          },
        },
      );
      const outcome = await watched.backup({ signal: controller.signal }).catch((error: unknown) => error);
      expect(performance.now() - interruptedAt).toBeLessThan(1200);
      expect(outcome).toMatchObject(when === 'after' ? { type: 'committed' } : { code: 'INTERRUPTED' });
      expect(new Set(ended().map(({ outcome: how }) => how))).toEqual(new Set(['failed']));
      const pid = Number((await logged())[0]);
      await expect.poll(() => isRunning(pid)).toBe(false);
    },
  );

  it('can print without end and without line breaks: what is shown of it is capped', async () => {
    await hooked({ beforeBackup: 'seq 1 1000; head -c 3000000 /dev/zero | tr "\\0" x' }).backup();
    expect(printed()).toHaveLength(101);
    expect(printed()[99]).toBe('100');
    events = [];
    await hooked({ afterBackup: 'head -c 3000000 /dev/zero | tr "\\0" x; echo >&2 last' }).backup();
    expect(printed().map((line) => line.length)).toEqual(expect.arrayContaining([4, 500]));
    expect(printed()).toHaveLength(2);
  });
});

describe('a webhook', () => {
  it('gets a POST with the document, and its user as basic authorization', async () => {
    const { url, requests } = await listen((response) => response.writeHead(204).end());
    const withUser = url.replace('//', '//user:p%40ss@');
    const { message } = await hooked({ afterBackup: `${withUser}/path?x=1` })
      .backup()
      .then(() => requests[0] ?? { message: undefined });
    expect(message).toMatchObject({ method: 'POST', url: '/path?x=1' });
    expect(message?.headers).toMatchObject({
      'content-type': 'application/json',
      authorization: `Basic ${Buffer.from('user:p@ss').toString('base64')}`,
    });
    expect(JSON.parse(requests[0]?.body ?? '')).toMatchObject({
      hook: 'after-backup',
      host: 'host-a',
      result: { type: 'committed' },
    });
    expect(ended()).toMatchObject([{ outcome: 'ok' }]);
  });

  it('gets the error of what failed', async () => {
    const { url, requests } = await listen((response) => response.end());
    await rm(host.store, { recursive: true });
    await expect(hooked({ afterBackup: url }).backup()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(JSON.parse(requests[0]?.body ?? '')).toMatchObject({ error: { code: 'NOT_FOUND' } });
  });

  it('that fails never stops anything, not even a restore', async () => {
    const { url } = await listen((response) => response.writeHead(500).end('no'));
    await host.agent.backup();
    await host.wipe();
    expect(await hooked({ beforeRestore: url, afterRestore: url }).restore()).toMatchObject({
      type: 'restored',
    });
    const message = `${url} answered 500`;
    expect(ended()).toMatchObject([
      { outcome: 'failed', message },
      { outcome: 'failed', message },
    ]);
  });

  it('is not followed elsewhere', async () => {
    const elsewhere = await listen((response) => response.end());
    const { url } = await listen((response) =>
      response.writeHead(307, { location: `${elsewhere.url}/?secret` }).end(),
    );
    await hooked({ afterBackup: url }).backup();
    expect(ended()).toMatchObject([{ message: `${url} answered 307; redirects are not followed` }]);
    expect(elsewhere.requests).toEqual([]);
  });

  it.each([
    ['never answers', () => undefined],
    [
      'answers, but never to the end',
      (response: ServerResponse) => void response.writeHead(500).write('and then'),
    ],
  ])('that %s does not hold anybody up', async (_, answer) => {
    const { url } = await listen(answer);
    const result = await hooked({ beforeBackup: url, timeoutMs: 300 }).backup();
    expect(result).toMatchObject({ type: 'committed' });
    expect(ended()).toMatchObject([{ outcome: expect.stringMatching(/timed-out|failed/) as string }]);
  });

  it('that nobody serves is told with its origin and no more', async () => {
    const { url } = await listen((response) => response.end());
    for (const close of closing.splice(0)) close();
    const secret = 'T0ken-of-the-webhook';
    await hooked({
      afterBackup: `${url.replace('//', `//${secret}:${secret}@`)}/${secret}?t=${secret}`,
    }).backup();
    expect(ended()).toMatchObject([{ message: `${url} cannot be reached (ECONNREFUSED)` }]);
    expect(JSON.stringify(events)).not.toContain(secret);
  });

  it('whose URL is none is a USAGE error that does not repeat it', () => {
    expect(() => hooked({ afterBackup: 'https://T0ken:99999999/x' })).toThrow(
      'Cannot use the after-backup hook: its URL cannot be understood',
    );
  });
});

it('a remote with a credential in it is refused before any hook is told', () => {
  const make = (): Agent =>
    withHooks(host.agent, tracing(), { store: host.store, remote: 's3://key:secret@bucket' });
  expect(make).toThrow(SyncAgentError);
});

it('without hooks the agent is the one that was given', () => {
  expect(hooked({ timeoutMs: 5 })).toBe(host.agent);
});

/** A process that has ended may stay in the table until somebody asks for its status. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const table = `/proc/${pid}/stat`;
  return !existsSync(table) || !/\) Z /.test(readFileSync(table, 'utf8'));
}
