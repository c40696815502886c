import { SyncAgentError, isSyncAgentError } from '../../../platform/errors.ts';
import { collect, textBody } from '../../../remotes/body.ts';
import type { Body } from '../../../remotes/remote.ts';
import { probeCreateOnly } from '../../../log/create-only.ts';
import { historyDirectory, makeSnapshotId, probeKey } from '../../../log/layout.ts';
import type { Context } from '../../context.ts';
import { failedWith } from '../check.ts';
import type { Check, Finding, RemoteFacts } from '../check.ts';

const content = 'sync-agent doctor';

/** Clocks this far apart make ages and times in listings misleading; servers refuse requests at 15 minutes. */
const toleratedSkewMs = 60_000;

/**
 * Tries every kind of request on objects in a history directory of its own, which no manifest names: rotation sweeps
 * it if this process dies.
 */
export const requestsCheck: Check<RemoteFacts> = {
  name: 'write',
  find: ({ context }) => tryRequests(context),
};

async function tryRequests(context: Context): Promise<readonly Finding[]> {
  const { remote, clock, signal } = context;
  const id = makeSnapshotId(clock.now(), clock.randomHex(4));
  const key = probeKey(id);
  let serverTime: Date;
  const sentAt = clock.now();
  try {
    ({ serverTime } = await remote.put(key, textBody(content), { signal }));
  } catch (error) {
    if (isSyncAgentError(error, 'DENIED')) {
      const detail = `objects cannot be written: this host can restore, but cannot back up (${error.message})`;
      return [{ status: 'warn', detail, remedy: error.remedy }];
    }
    throw error;
  }
  const skew = checkClock(serverTime, sentAt, clock.now());
  const findings: Finding[] = [{ status: 'ok', detail: 'objects can be written' }, skew];
  const keys = [key, probeKey(id, 'copy'), probeKey(id, 'wrong-checksum-on-purpose')];
  try {
    findings.push(
      await attempt('consistency', 'what was written is listed and read at once', () =>
        readBack(context, id, key),
      ),
    );
    const copied = await attempt('copy', 'the server copies objects', () =>
      remote.copy(key, probeKey(id, 'copy'), { signal, bytes: 1 }),
    );
    findings.push(
      copied.status === 'ok'
        ? copied
        : {
            ...copied,
            status: 'warn',
            code: undefined,
            remedy: 'Unchanged files will be uploaded again with every snapshot',
          },
    );
    findings.push(await checkChecksums(context, probeKey(id, 'wrong-checksum-on-purpose')));
  } finally {
    // Whatever the fate of the checks, also when they were interrupted.
    const { signal: _, ...calm } = context;
    findings.push(await attempt('delete', 'objects can be deleted', () => calm.remote.remove(keys)));
  }
  if (findings.at(-1)?.status === 'ok') findings.push(await checkCreateOnly(context));
  return findings;
}

function checkClock(serverTime: Date, sentAt: number, answeredAt: number): Finding {
  const name = 'clock';
  // The server's time has a resolution of one second.
  const early = sentAt - serverTime.getTime() - 1000;
  const late = serverTime.getTime() - answeredAt;
  const skewMs = Math.max(0, early, late);
  if (skewMs <= toleratedSkewMs)
    return { name, status: 'ok', detail: `agrees with the server's to ${Math.ceil(skewMs / 1000)} s` };
  return {
    name,
    status: 'warn',
    detail: `this host's clock is ${Math.round(skewMs / 1000)} s ${early > late ? 'ahead of' : 'behind'} the server's`,
    remedy: 'Synchronise it (NTP): snapshots are named by it, and servers refuse requests from 15 minutes on',
  };
}

async function readBack({ remote, signal }: Context, id: string, key: string): Promise<void> {
  const { body, size } = await remote.get(key, { signal });
  const text = (await collect(body, size)).toString('utf8');
  const info = await remote.head(key, { signal });
  let isListed = false;
  for await (const page of remote.list(historyDirectory(id), { signal }))
    isListed ||= page.objects.some((each) => each.key === key);
  if (text === content && info?.size === content.length && isListed) return;
  throw new SyncAgentError(
    'UNSUPPORTED',
    `Cannot rely on ${remote.location}: an object just written was not read or listed as it was written`,
    {
      remedy: 'Use a remote with read-after-write consistency',
    },
  );
}

/** Sends bytes with a SHA-256 that is not theirs; a server that checks it refuses them. */
async function checkChecksums(context: Context, key: string): Promise<Finding> {
  const name = 'checksums';
  const refusal = new AbortController();
  const signal =
    context.signal === undefined ? refusal.signal : AbortSignal.any([context.signal, refusal.signal]);
  let opened = 0;
  const honest = textBody(content);
  const body: Body = {
    size: honest.size,
    open: (range) => {
      opened += 1;
      // A second look at the bytes means that the first request was refused, and is tried again as if damaged in transit.
      if (opened > 1) refusal.abort();
      return honest.open(range);
    },
  };
  try {
    await context.remote.put(key, body, { sha256: '0'.repeat(64), signal });
  } catch (error) {
    if (context.signal?.aborted === true) throw error;
    return { name, status: 'ok', detail: 'the server refuses damaged uploads' };
  }
  return {
    name,
    status: 'ok',
    detail:
      'SHA-256 is not checked by the server; integrity rests on the SHA-256 in the manifest, compared on every read',
  };
}

async function checkCreateOnly({ remote, clock, settings, signal }: Context): Promise<Finding> {
  const name = 'create-only';
  try {
    const support = await probeCreateOnly(remote, makeSnapshotId(clock.now(), clock.randomHex(4)), {
      graceMs: settings.graceMs,
      signal,
    });
    if (support === 'enforced') return { name, status: 'ok', detail: 'of racing hosts exactly one wins' };
    return {
      name,
      status: 'warn',
      detail: `create-only writes are ${support}: racing hosts could overwrite each other's commit`,
      remedy:
        'Let a single host back up to this remote, or use one that enforces create-only writes (If-None-Match)',
    };
  } catch (error) {
    return { name, ...failedWith(error) };
  }
}

async function attempt(name: string, detail: string, work: () => Promise<unknown>): Promise<Finding> {
  try {
    await work();
    return { name, status: 'ok', detail };
  } catch (error) {
    return { name, ...failedWith(error) };
  }
}
