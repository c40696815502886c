import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { LogOvertaken, LogWriter } from '../../../src/engine/continuous/log-writer.ts';
import type { Batch } from '../../../src/engine/continuous/reading/spool.ts';
import type { Context } from '../../../src/engine/context.ts';
import type { LogPosition } from '../../../src/log/segments/position.ts';
import {
  afterSegment,
  chainProblem,
  listSegments,
  readSegment,
} from '../../../src/log/segments/read-segments.ts';
import type { ChainEnd } from '../../../src/log/segments/read-segments.ts';
import type { Segment } from '../../../src/log/segments/segment.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { collect } from '../../../src/remotes/body.ts';
import { readBody } from '../../../src/remotes/read-body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { contextOf, passThrough } from '../../support/race.ts';

const snapshot = '2026-11-21T11-30-05.123Z-7f3a9c2e';
const at = (number: number, rest = '0'): LogPosition => ({
  number,
  operation: 'e'.repeat(64),
  rest: rest.repeat(64),
});
const start: ChainEnd = { number: 0, checksum: null, position: at(0) };

let remote: Remote;
beforeEach(() => {
  remote = createMemoryRemote({ now: Date.now });
});
const contextFor = (seen: Remote): Context => contextOf(seen, Date.now, () => 0.5, 'host');
const writerOn = (seen = remote, end = start): LogWriter =>
  new LogWriter(contextFor(seen), { snapshot, end, writer: 'a'.repeat(32), isConditional: true });

function batch(first: number, last: number, more: Partial<Batch> & { readonly pad?: number } = {}): Batch {
  const { pad = 0, ...other } = more;
  const operations = Array.from({ length: last - first + 1 }, (_, index) => ({
    number: first + index,
    text: `[${first + index},"${'x'.repeat(pad)}"]`,
  }));
  const bytes = operations.reduce((sum, { text }) => sum + text.length + 1, 0);
  return {
    type: 'entries',
    operations,
    to: at(last),
    hasMore: false,
    readAtMs: 1e12 + last,
    bytes,
    ...other,
  };
}
/** All segments, which must be one chain. */
async function chain(): Promise<readonly Segment[]> {
  const found: Segment[] = [];
  let end = start;
  for (const { number } of await listSegments(remote, snapshot)) {
    const segment = await readSegment(remote, snapshot, number);
    expect(chainProblem(segment, end)).toBeUndefined();
    end = afterSegment(segment);
    found.push(segment);
  }
  return found;
}
const shipAll = async (writer: LogWriter): Promise<void> => {
  while ((await writer.ship(undefined)) !== undefined);
};

describe('a writer of a log', () => {
  it('packs what is pending into one segment, and writes nothing where nothing is pending', async () => {
    const writer = writerOn();
    expect(await writer.ship(undefined)).toBeUndefined();
    writer.add([batch(1, 3), batch(4, 4)]);
    expect(writer.counts).toEqual({ added: 2, written: 0 });
    expect(writer.position).toEqual(at(4));
    expect(await writer.ship(7)).toMatchObject({ number: 1, operations: 4, to: at(4), readAtMs: 1e12 + 3 });
    expect(writer.counts).toEqual({ added: 2, written: 2 });
    writer.add([batch(5, 5)]);
    await shipAll(writer);
    const [first, second] = await chain();
    expect(first?.head).toMatchObject({ operations: 4, epoch: 7, previous: null });
    expect(second?.head).toMatchObject({ operations: 1, previous: first?.checksum });
  });

  it('begins a segment where the store counts back, and only there', async () => {
    const writer = writerOn();
    writer.add([
      batch(1, 3),
      batch(3, 4, { cutTo: 2 }),
      batch(5, 5),
      batch(0, -1, { cutTo: 4, to: at(4) }),
      batch(5, 6),
    ]);
    await shipAll(writer);
    expect(
      (await chain()).map(({ head: { cutTo, operations, to } }) => [cutTo, operations, to.number]),
    ).toEqual([
      [undefined, 3, 3],
      [2, 3, 5],
      [4, 2, 6],
    ]);
  });

  it('keeps a segment below the size of a create-only put', async () => {
    const writer = writerOn();
    for (let number = 1; number <= 10; number += 1) writer.add([batch(number, number, { pad: 1024 * 1024 })]);
    await shipAll(writer);
    expect((await chain()).map(({ head }) => head.operations)).toEqual([5, 5]);
    expect(writer.pending).toEqual([]);
  });

  it('writes only the newest state of the tables, and goes on with it', async () => {
    const writer = writerOn();
    const tables = (name: string) => ({ rest: [`{"${name}"}`] });
    writer.add([
      batch(1, 1, { ...tables('old'), to: at(1, '1') }),
      batch(2, 2, { ...tables('new'), to: at(2, '2') }),
      // A batch that was read before the tables, and says nothing of them.
      batch(3, 3, { to: at(3, '9') }),
    ]);
    await shipAll(writer);
    const [segment] = await chain();
    expect(segment?.lines).toEqual(['[1,""]', '[2,""]', '[3,""]', '{"new"}']);
    expect(segment?.head.to).toEqual(at(3, '2'));
  });

  it.each([true, false])(
    'sends the same bytes after a failure, whatever came since (it arrived: %s)',
    async (arrives) => {
      const sent: Buffer[] = [];
      let failures = 2;
      const flaky: Remote = {
        ...passThrough(remote),
        put: async (key, body, options) => {
          sent.push(Buffer.from(await collect(readBody(body, { action: 'x', signal: undefined }), 1e6)));
          if (failures === 0) return remote.put(key, body, options);
          failures -= 1;
          if (arrives) await remote.put(key, body, options);
          throw new SyncAgentError('DENIED', 'not now');
        },
      };
      const writer = writerOn(flaky);
      writer.add([batch(1, 2)]);
      await expect(writer.ship(1)).rejects.toMatchObject({ code: 'DENIED' });
      writer.add([batch(3, 3)]);
      await writer.ship(2).catch(() => undefined);
      await shipAll(writer);
      expect(sent[0]).toEqual(sent[1]);
      expect((await chain()).map(({ head }) => head.operations)).toEqual([2, 1]);
      expect(writer.counts).toEqual({ added: 2, written: 2 });
    },
  );

  it('writes one segment at a time, however often it is asked', async () => {
    let inFlight = 0;
    const narrow: Remote = {
      ...passThrough(remote),
      put: async (...args) => {
        inFlight += 1;
        expect(inFlight).toBe(1);
        await new Promise((resolve) => setTimeout(resolve, 1));
        const result = await remote.put(...args);
        inFlight -= 1;
        return result;
      },
    };
    const writer = writerOn(narrow);
    writer.add([batch(1, 1)]);
    const shipping = [writer.ship(undefined), writer.ship(undefined)];
    writer.add([batch(2, 2)]);
    shipping.push(writer.ship(undefined), writer.ship(undefined));
    expect((await Promise.all(shipping)).filter((each) => each !== undefined).length).toBeLessThanOrEqual(2);
    await shipAll(writer);
    expect((await chain()).reduce((sum, { head }) => sum + head.operations, 0)).toBe(2);
  });

  it('gives way to whoever wrote the number first, and leaves that segment alone', async () => {
    const [mine, theirs] = [writerOn(), writerOn()];
    theirs.add([batch(1, 1, { readAtMs: 5 })]);
    mine.add([batch(1, 1)]);
    await shipAll(theirs);
    await expect(mine.ship(undefined)).rejects.toBeInstanceOf(LogOvertaken);
    await expect(mine.ship(undefined)).rejects.toBeInstanceOf(LogOvertaken);
    expect((await chain()).map(({ head }) => Date.parse(head.readAt.first))).toEqual([5]);
  });

  it.each([
    ['larger than a put takes', () => randomBytes(9 << 20).toString('base64')],
    ['larger than a reader takes', () => 'x'.repeat(65 << 20)],
  ])('refuses one write that is %s, and writes nothing', async (_, text) => {
    const writer = writerOn();
    writer.add([batch(1, 1, { operations: [{ number: 1, text: `[1,"${text()}"]` }] })]);
    await expect(writer.ship(undefined)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect(await listSegments(remote, snapshot)).toEqual([]);
  });
});
