import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Context } from '../../../src/engine/context.ts';
import { isPassedOn, isWhollyShipped, relateToLog } from '../../../src/engine/continuous/log-relation.ts';
import { sealLog } from '../../../src/engine/continuous/seal-log.ts';
import { giveUpLog, logReadyPath, writeLogFile, writeLogShipped } from '../../../src/home/log-files.ts';
import type { LogReady } from '../../../src/home/log-files.ts';
import { noRemoteState, writeState } from '../../../src/home/state.ts';
import { segmentKey } from '../../../src/log/layout.ts';
import type { Manifest } from '../../../src/log/manifest.ts';
import { afterSegment, listSegments, readSegment } from '../../../src/log/segments/read-segments.ts';
import type { ChainEnd } from '../../../src/log/segments/read-segments.ts';
import { encodeSegment } from '../../../src/log/segments/segment.ts';
import { createSegment } from '../../../src/log/segments/write-segment.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import type { LogPosition } from '../../../src/stores/operation-log.ts';
import { fastTmp } from '../../support/host.ts';
import { contextOf, passThrough } from '../../support/race.ts';

const id = '2026-11-21T11-30-05.123Z-7f3a9c2e';
const next = '2026-11-21T12-30-05.123Z-7f3a9c2f';
const after = '2026-11-21T13-30-05.123Z-7f3a9c30';
const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
const line = (number: number, text = 'ours'): string => JSON.stringify([number, text]);
/** Where a store stands that did `number` operations, the last of them `text`. */
const at = (number: number, { text = 'ours', rest = 'tables' } = {}): LogPosition => ({
  number,
  operation: number === 0 ? null : digest(line(number, text)),
  rest: digest(rest),
});

let root: string;
let remote: Remote;
let context: Context;
let local: LogPosition | undefined;
let wasThere: 'yes' | 'no' | 'unknown';
let end: ChainEnd;
beforeEach(async () => {
  root = await mkdtemp(join(fastTmp, 'sync-agent-relation-'));
  remote = createMemoryRemote({ now: Date.now });
  local = at(10);
  wasThere = 'yes';
  end = { number: 0, checksum: null, position: at(10) };
  context = contextOn(remote);
  await mkdir(context.home.dir);
});
afterEach(() => rm(root, { recursive: true }));

function contextOn(used: Remote): Context {
  const operationLog = async () => ({ positionOf: () => local, wasAt: () => wasThere });
  return {
    ...contextOf(used, Date.now, Math.random, 'host'),
    home: { store: join(root, 'store'), dir: join(root, 'home'), swap: 'rename' },
    adapterNamed: () => ({ operationLog }) as never,
  };
}
const snapshot = { id, adapter: 'chroma', position: at(10) } as Manifest;

/** Adds a segment of `count` operations to the log, after a cut to `cutTo`. */
async function add(
  count: number,
  { text = 'ours', rest = 'tables', cutTo }: { text?: string; rest?: string; cutTo?: number } = {},
): Promise<void> {
  const begin = cutTo ?? end.position.number;
  const lines = Array.from({ length: count }, (_, i) => line(begin + i + 1, text));
  const to =
    count === 0 && cutTo === undefined
      ? { ...end.position, rest: digest(rest) }
      : at(begin + count, { text, rest });
  const head = {
    snapshot: id,
    number: end.number + 1,
    previous: end.checksum,
    writer: 'a'.repeat(32),
    host: 'other',
    agent: 'test',
    from: end.position,
    to,
    ...(cutTo === undefined ? {} : { cutTo }),
    operations: count,
    readAt: { first: '2026-11-21T12:00:00.000Z', last: '2026-11-21T12:00:00.000Z' },
  };
  await createSegment(remote, { snapshot: id, number: head.number, ...(await encodeSegment(head, lines)) });
  end = afterSegment(await readSegment(remote, id, head.number));
}
const relation = async (): Promise<string | undefined> => (await relateToLog(context, snapshot))?.type;

describe('a store and the log of the snapshot that it grew from', () => {
  it.each<[string, LogPosition, typeof wasThere, string]>([
    ['all of the log and no more is equal', at(14), 'yes', 'equal'],
    ['all of the log and more is ahead', at(17), 'yes', 'ahead'],
    ['as many operations as the log, others, has diverged', at(14, { text: 'theirs' }), 'no', 'diverged'],
    ['more operations than the log, others, has diverged', at(17), 'no', 'diverged'],
    ['more operations, and nobody knows which, has diverged', at(17), 'unknown', 'diverged'],
    ['the snapshot and nothing of its log is behind', at(10), 'no', 'behind'],
    ['a part of a segment is behind', at(11), 'no', 'behind'],
    ['a part of the log, and then other operations, has diverged', at(13, { text: 'x' }), 'no', 'diverged'],
    ['fewer operations than the snapshot has diverged', at(9), 'no', 'diverged'],
    ['a part of the log and tables of its own has diverged', at(12, { rest: 'own' }), 'no', 'diverged'],
    ['all operations and tables of its own is ahead', at(14, { rest: 'own' }), 'yes', 'ahead'],
    ['all operations and earlier tables of the log is behind', at(14, { rest: 'old' }), 'yes', 'behind'],
  ])('%s', async (_, position, was, expected) => {
    await add(2);
    await add(2, { rest: 'old' });
    await add(0);
    local = position;
    wasThere = was;
    expect(await relation()).toBe(expected);
  });

  it('a store whose operations went with a collection, and that is as of before, is behind', async () => {
    await add(3);
    // To before the snapshot itself.
    await add(0, { cutTo: 8 });
    await add(2, { text: 'again' });
    await add(2, { cutTo: 9, text: 'once more' });
    wasThere = 'no';
    for (const [position, expected] of [
      [at(13), 'behind'],
      [at(8), 'behind'],
      [at(10, { text: 'once more' }), 'behind'],
      [at(11, { text: 'once more' }), 'equal'],
      [at(11, { text: 'again' }), 'diverged'],
    ] as const) {
      local = position;
      expect(await relation()).toBe(expected);
    }
  });

  it('what this host wrote last decides by itself, and only if nobody wrote more', async () => {
    await add(2);
    await writeLogShipped(nodeFileSystem, context.home, { snapshot: id, number: 1, position: at(12) });
    // Where the store has been before is not asked for its own log.
    wasThere = 'no';
    local = at(12);
    expect(await relation()).toBe('equal');
    local = at(15);
    expect(await relation()).toBe('ahead');
    await add(1, { text: 'of another host' });
    expect(await relation()).toBe('diverged');
    await writeLogShipped(nodeFileSystem, context.home, { snapshot: next, number: 2, position: at(15) });
    expect(await relation()).toBe('diverged');
  });

  it('so does what it wrote and died before it recorded that, whatever the store has purged since', async () => {
    await add(2);
    await add(2);
    wasThere = 'unknown';
    const recorded = { snapshot: id, number: 1, position: at(12) };
    for (const [writer, position, expected] of [
      ['a', at(17), 'ahead'],
      ['a', at(14), 'equal'],
      // The power was cut, and the store lost its end.
      ['a', at(13), 'behind'],
      ['b', at(17), 'diverged'],
    ] as const) {
      await writeLogShipped(nodeFileSystem, context.home, { ...recorded, writer: writer.repeat(32) });
      local = position;
      expect([writer, await relation()]).toEqual([writer, expected]);
    }
  });

  it.each<[string, number, LogPosition, LogReady['writer'], string]>([
    ['and nobody has written behind that', 0, at(14), undefined, 'ahead'],
    ['and that is where it stands', 0, at(10), undefined, 'equal'],
    ['and it lost its end in a power cut', 0, at(9), undefined, 'diverged'],
    ['behind which it has written since', 2, at(14), 'a', 'ahead'],
    ['behind which another host has written', 2, at(14), 'b', 'diverged'],
  ])(
    'a store that has purged all and grew from its own snapshot, which it has not recorded yet, %s',
    async (_, written, position, writer, expected) => {
      if (written > 0) await add(written);
      wasThere = 'unknown';
      local = position;
      await writeLogShipped(nodeFileSystem, context.home, { snapshot: next, number: 3, position: at(9) });
      const ready = { snapshot: id, isReady: true, continues: next };
      await writeLogFile(nodeFileSystem, logReadyPath(context.home), {
        ...ready,
        ...(writer === undefined ? {} : { writer: writer.repeat(32) }),
      });
      expect(await relation()).toBe(expected);
      // The end alone says nothing else.
      await sealLog(context, snapshot, next);
      expect(await relation()).toBe(expected);
    },
  );

  it('a store whose last operations went with a collection, before their segment was recorded, is ahead', async () => {
    await add(2);
    await add(2);
    wasThere = 'no';
    local = at(12, { rest: 'without it' });
    const recorded = { snapshot: id, number: 1, position: at(12) };
    await writeLogShipped(nodeFileSystem, context.home, { ...recorded, writer: 'a'.repeat(32) });
    expect(await relation()).toBe('ahead');
    // In the log of another host it is no earlier state.
    await writeLogShipped(nodeFileSystem, context.home, { ...recorded, writer: 'b'.repeat(32) });
    expect(await relation()).toBe('diverged');
  });

  it('a store as of a moment that somebody chose is ahead, whatever it holds', async () => {
    await add(2);
    await giveUpLog(nodeFileSystem, context.home);
    for (const position of [at(10), at(12), at(11, { text: 'x' })]) {
      local = position;
      expect(await relation()).toBe('ahead');
    }
  });

  it('nothing is known without a log, and of a store that cannot be read', async () => {
    expect(await relateToLog(context, { ...snapshot, position: undefined })).toBeUndefined();
    local = undefined;
    expect(await relation()).toBeUndefined();
  });

  it('a log whose last segment is damaged counts from its beginning', async () => {
    await add(2);
    await add(1);
    await remote.put(segmentKey(id, 2), textBody('rotten'));
    wasThere = 'no';
    local = at(11);
    expect(await relation()).toBe('behind');
    local = at(13);
    expect(await relation()).toBe('diverged');
    // Once only: it could be read by the time when the whole log is.
    let isDenied = false;
    const get: Remote['get'] = (...args) => {
      if (isDenied) return remote.get(...args);
      isDenied = true;
      return Promise.reject(new SyncAgentError('DENIED', 'no'));
    };
    await expect(relateToLog(contextOn({ ...passThrough(remote), get }), snapshot)).rejects.toMatchObject({
      code: 'DENIED',
    });
  });
});

it('all that a store holds was in a log if it stands where the record ends, and nobody chose an earlier moment', async () => {
  const { home } = context;
  const isWhole = () => isWhollyShipped(context, id, 'chroma');
  expect(await isWhole()).toBe(false);
  await writeLogShipped(nodeFileSystem, home, { snapshot: id, number: 2, position: at(10) });
  expect(await isWhole()).toBe(true);
  expect(await isWhollyShipped(context, next, 'chroma')).toBe(false);
  local = at(11);
  expect(await isWhole()).toBe(false);
  local = at(10);
  await giveUpLog(nodeFileSystem, home);
  expect(await isWhole()).toBe(false);
});

describe('a store whose snapshot has a child that another host made', () => {
  it.each<[string, LogPosition, LogPosition, boolean]>([
    ['that stands where the child does', at(13), at(13), true],
    ['that stands before the child, between segments', at(12), at(14), true],
    ['that stands before the child, in the same segment', at(13), at(14), true],
    ['that stands at the snapshot', at(10), at(12), true],
    ['that stands at the snapshot, as the child does', at(10), at(10), true],
    ['that has what came after the child, in the same segment', at(14), at(13), false],
    ['that has what came after the child, in a later segment', at(14), at(12), false],
    ['that has operations of its own', at(13, { text: 'x' }), at(14), false],
    ['that has tables of its own', at(12, { rest: 'own' }), at(14), false],
    ['that has tables of an earlier moment', at(14, { rest: 'old' }), at(14), true],
    ['and the child stands elsewhere', at(12), at(14, { text: 'x' }), false],
  ])('%s: %#', async (_, store, child, expected) => {
    await add(2, { rest: 'old' });
    await add(2);
    local = store;
    expect(await isPassedOn(context, snapshot, { position: child })).toBe(expected);
  });

  it('is not known to be passed on if one of the three has no position', async () => {
    await add(2);
    local = at(10);
    const child = { position: at(12) };
    expect(await isPassedOn(context, { ...snapshot, position: undefined }, child)).toBe(false);
    expect(await isPassedOn(context, snapshot, { position: undefined })).toBe(false);
    local = undefined;
    expect(await isPassedOn(context, snapshot, child)).toBe(false);
  });
});

describe('the end of a log', () => {
  const heads = async () =>
    Promise.all(
      (await listSegments(remote, id)).map(
        async ({ number }) => (await readSegment(remote, id, number)).head,
      ),
    );
  const seal = (by = next, used = context): Promise<unknown> => sealLog(used, snapshot, by);

  it('is an empty segment that follows and names who goes on', async () => {
    await seal();
    expect(await heads()).toMatchObject([{ closedBy: next, from: at(10), to: at(10), operations: 0 }]);
    await remote.remove([segmentKey(id, 1)]);
    await add(2);
    const { checksum } = end;
    await seal();
    expect((await heads())[1]).toMatchObject({
      closedBy: next,
      previous: checksum,
      from: at(12),
      to: at(12),
    });
  });

  it('stays as it is if the log has ended, or if its last segment is damaged', async () => {
    await seal();
    await seal(after);
    expect(await heads()).toMatchObject([{ closedBy: next }]);
    await remote.put(segmentKey(id, 1), textBody('rotten'));
    await seal(after);
    expect(await listSegments(remote, id)).toHaveLength(1);
    // A backup must not fail because a newer program wrote the log, or because it was rotated away meanwhile.
    for (const code of ['TOO_NEW', 'NOT_FOUND'] as const) {
      const get = () => Promise.reject(new SyncAgentError(code, 'no'));
      await seal(after, contextOn({ ...passThrough(remote), get }));
    }
    expect(await listSegments(remote, id)).toHaveLength(1);
  });

  it('is not taken for damaged because nobody could read it', async () => {
    await add(1);
    const get = () => Promise.reject(new SyncAgentError('DENIED', 'no'));
    await expect(seal(next, contextOn({ ...passThrough(remote), get }))).rejects.toMatchObject({ code: 'DENIED' }); // prettier-ignore
    expect(await listSegments(remote, id)).toHaveLength(1);
  });

  it('comes after what another host wrote meanwhile, and gives up on one that writes without a pause', async () => {
    let busy = 1;
    const rival: Remote = {
      ...passThrough(remote),
      put: async (key, body, options) => {
        if (busy > 0) await add(1, { text: 'of another host' });
        busy -= 1;
        return remote.put(key, body, options);
      },
    };
    await seal(next, contextOn(rival));
    expect((await heads()).map(({ closedBy }) => closedBy)).toEqual([undefined, next]);
    expect((await heads())[1]).toMatchObject({ from: at(11, { text: 'of another host' }) });

    await remote.remove([segmentKey(id, 2)]);
    busy = Infinity;
    await expect(seal(next, contextOn(rival))).rejects.toMatchObject({ code: 'BUSY', retryable: true });
  });

  it('is written to a remote that knows no create-only writes', async () => {
    const put: Remote['put'] = (key, body, options) =>
      options?.ifAbsent === true
        ? Promise.reject(new SyncAgentError('UNSUPPORTED', 'no conditions'))
        : remote.put(key, body, options);
    const simple = contextOn({ ...passThrough(remote), put });
    await expect(seal(next, simple)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await sealLog(simple, snapshot, next, { isConditional: false });
    expect(await heads()).toMatchObject([{ closedBy: next }]);
    await remote.remove([segmentKey(id, 1)]);
    const remotes = { race: { ...noRemoteState, createOnly: 'rejected' as const } };
    await writeState(nodeFileSystem, context.home, { format: 1, identity: 'the store', remotes });
    await seal(next, simple);
    expect(await heads()).toMatchObject([{ closedBy: next }]);
  });
});

it('is none for a snapshot without a log', async () => {
  await sealLog(context, { id, position: undefined }, next);
  expect(await listSegments(remote, id)).toEqual([]);
});
