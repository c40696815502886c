import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyLog } from '../../../src/engine/continuous/apply-log.ts';
import { LogWriter } from '../../../src/engine/continuous/log-writer.ts';
import type { Context } from '../../../src/engine/context.ts';
import { segmentKey } from '../../../src/log/layout.ts';
import type { Manifest } from '../../../src/log/manifest.ts';
import { afterSegment, listSegments, readSegment } from '../../../src/log/segments/read-segments.ts';
import { encodeSegment } from '../../../src/log/segments/segment.ts';
import { createSegment } from '../../../src/log/segments/write-segment.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { queueLog } from '../../../src/stores/chroma/log/queue-log.ts';
import type { LogFollower, LogPosition } from '../../../src/stores/operation-log.ts';
import { QueueStore, entries, followFrom } from '../../support/queue-store.ts';
import { contextOf } from '../../support/race.ts';

const id = '2026-11-21T11-30-05.123Z-7f3a9c2e';
let remote: Remote;
let context: Context;
let store: QueueStore;
let image: QueueStore;
let follower: LogFollower;
let writer: LogWriter;
let from: LogPosition;
let kept: string;
beforeEach(async () => {
  remote = createMemoryRemote({ now: Date.now });
  const operationLog = async () => queueLog;
  context = {
    ...contextOf(remote, Date.now, () => 0.5, 'host'),
    adapterNamed: () => ({ operationLog }) as never,
  };
  store = new QueueStore();
  image = await store.copy();
  follower = followFrom(store);
  from = follower.position();
  writer = writerAt(from);
  [kept = ''] = store.collections();
});
afterEach(() => {
  follower.close();
  store.remove();
  image.remove();
});

const writerAt = (position: LogPosition): LogWriter =>
  new LogWriter(context, {
    snapshot: id,
    end: { number: 0, checksum: null, position },
    writer: 'a'.repeat(32),
    isConditional: true,
  });

/** Ships what came as one segment. */
async function ship(readAtMs = 1e12): Promise<LogPosition> {
  const reading = entries(follower.read(1 << 20));
  writer.add([{ ...reading, readAtMs, bytes: 0 }]);
  await writer.ship(undefined);
  return reading.to;
}
/** Segments 1 to 3, an operation each. */
async function three(): Promise<readonly LogPosition[]> {
  const reached: LogPosition[] = [];
  for (const name of ['a', 'b', 'c']) {
    store.write(kept, name);
    reached.push(await ship(1e12 + reached.length * 1000));
  }
  return reached;
}
const apply = (options: { readonly untilMs?: number } = {}, position: LogPosition | undefined = from) =>
  applyLog(context, { id, adapter: 'chroma', position } as Manifest, image.dir, options);
const misfit: unknown = expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' });

describe('the log of a snapshot', () => {
  it('brings a copy to where the store is', async () => {
    await three();
    expect(await apply()).toMatchObject({ segments: 3, operations: 3, position: follower.position() });
    expect(image.rows(240)).toEqual(store.rows(240));
  });

  it('may begin with segments without operations: tables alone, and a deletion that only took numbers away', async () => {
    store.create();
    await ship();
    const gone = store.create();
    store.write(gone, 'x');
    await ship();
    store.delete(gone);
    await ship();
    store.delete(store.collections().at(-1) ?? '');
    await ship();
    store.write(kept, 'a');
    await ship();
    expect(await apply()).toMatchObject({ segments: 5, operations: 2, position: follower.position() });
    expect(image.collections()).toEqual(store.collections());
    expect(image.rows(240)).toEqual(store.rows(240));
  });

  it('may begin with a deletion that takes operations of the snapshot itself away', async () => {
    const gone = store.create();
    store.write(kept, 'stays');
    store.write(gone, 'goes');
    image.remove();
    image = await store.copy();
    follower.start(follower.position());
    from = follower.position();
    writer = writerAt(from);
    store.delete(gone);
    store.write(kept, 'again');
    await ship();
    expect(await apply()).toMatchObject({ segments: 1, position: follower.position() });
    expect(image.rows(240)).toEqual(store.rows(240));
  });

  it('ends before a segment that is damaged, and says why', async () => {
    const [first] = await three();
    await remote.put(segmentKey(id, 2), textBody('rotten'));
    expect(await apply()).toMatchObject({
      segments: 1,
      position: first,
      endedBy: expect.stringContaining(segmentKey(id, 2)) as unknown,
    });
  });

  it('ends before a segment that does not follow', async () => {
    const [first] = await three();
    const { head, lines } = await readSegment(remote, id, 2);
    for (const changes of [
      { previous: 'b'.repeat(64) },
      { from: { ...head.from, operation: 'c'.repeat(64) } },
    ]) {
      await remote.remove([segmentKey(id, 2)]);
      await createSegment(remote, {
        snapshot: id,
        number: 2,
        ...(await encodeSegment({ ...head, ...changes }, lines)),
      });
      const copy = await image.copy();
      const applied = await applyLog(
        context,
        { id, adapter: 'chroma', position: from } as Manifest,
        copy.dir,
      );
      expect(applied).toMatchObject({ segments: 1, position: first });
      expect(applied?.endedBy).toMatch(/is broken: segment 2/);
      copy.remove();
    }
  });

  it('ends at a moment, with all that was read by then', async () => {
    const [, second] = await three();
    expect(await apply({ untilMs: 1e12 + 1000 })).toMatchObject({
      segments: 2,
      position: second,
      until: new Date(1e12 + 1000).toISOString(),
      endedBy: undefined,
    });
    const none = await apply({ untilMs: 1e12 - 1 });
    expect(none).toMatchObject({ segments: 0, operations: 0, position: from, until: undefined });
  });

  it('is nothing for a snapshot without a position, and empty without segments', async () => {
    expect(await applyLog(context, { id, adapter: 'chroma' } as Manifest, image.dir)).toBeUndefined();
    expect(await apply()).toMatchObject({ segments: 0, endedBy: undefined });
  });

  it('is refused for a copy that stands elsewhere', async () => {
    await three();
    image.write(kept, 'its own');
    await expect(apply()).rejects.toEqual(misfit);
    await expect(apply()).rejects.toThrow(/it stands at operation 241, the log begins at 240/);
  });

  it('is refused if the copy does not come to where the log says', async () => {
    await three();
    const last = await readSegment(remote, id, 3);
    const end = afterSegment(last);
    expect((await listSegments(remote, id)).length).toBe(3);
    const to = { ...end.position, rest: 'd'.repeat(64) };
    const lying = { ...last.head, number: 4, previous: end.checksum, from: end.position, to, operations: 0 };
    await createSegment(remote, { snapshot: id, number: 4, ...(await encodeSegment(lying, [])) });
    await expect(apply()).rejects.toMatchObject({
      code: 'SNAPSHOT_CORRUPT',
      message: expect.stringContaining('after its log it stands at operation 243, not at 243') as unknown,
    });
  });
});
