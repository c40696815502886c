import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseSegmentKey, segmentKey, segmentsPrefix, snapshotOfKey } from '../../../src/log/layout.ts';
import type { LogPosition } from '../../../src/log/segments/position.ts';
import {
  afterSegment,
  chainProblem,
  listSegments,
  readSegment,
} from '../../../src/log/segments/read-segments.ts';
import type { ChainEnd } from '../../../src/log/segments/read-segments.ts';
import { decodeSegment, encodeSegment } from '../../../src/log/segments/segment.ts';
import type { Segment, SegmentHead } from '../../../src/log/segments/segment.ts';
import { createSegment } from '../../../src/log/segments/write-segment.ts';
import { SyncAgentError, isSyncAgentError } from '../../../src/platform/errors.ts';
import { bytesBody, collect, textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { passThrough } from '../../support/race.ts';

const snapshot = '2026-11-21T11-30-05.123Z-7f3a9c2e';
const at = (number: number): LogPosition => ({
  number,
  operation: number === 0 ? null : String(number % 10).repeat(64),
  rest: 'a'.repeat(64),
});
type Head = Omit<SegmentHead, 'format'>;
const head = (changes: Partial<Head> = {}): Head => ({
  snapshot,
  number: 1,
  previous: null,
  writer: 'b'.repeat(32),
  host: 'host',
  agent: 'sync-agent/1',
  from: at(4),
  to: at(6),
  operations: 2,
  readAt: { first: '2026-11-21T11:30:06.000Z', last: '2026-11-21T11:30:07.000Z' },
  ...changes,
});
const lines = [
  '[5,null,2,"t","i",{"blob":"00"},null,"ä"]',
  '[6,"x",3,"t","i",null,null,null]',
  '{"table":"t","columns":[]}',
];
const seal = (text: string): Buffer =>
  gzipSync(`${text}${JSON.stringify({ sha256: createHash('sha256').update(text).digest('hex') })}\n`);
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'read',
    (error: unknown) => (isSyncAgentError(error) ? error.code : String(error)),
  );

it.each([
  [1, 'read'],
  [2, 'SNAPSHOT_CORRUPT'],
])('a segment that arrives damaged %i times is %s: one time may be the network', async (times, result) => {
  const memory = createMemoryRemote({ now: () => 0 });
  const { bytes, checksum } = await encodeSegment(head(), lines);
  await createSegment(memory, { snapshot, number: 1, bytes, checksum });
  let gets = 0;
  const remote: Remote = {
    ...passThrough(memory),
    get: async (...args) => {
      const { body, ...object } = await memory.get(...args);
      const content = await collect(body, 1e6);
      if ((gets += 1) <= times) content[content.byteLength >> 1]! ^= 1;
      return {
        ...object,
        body: (async function* () {
          yield content;
        })(),
      };
    },
  };
  expect(await codeOf(readSegment(remote, snapshot, 1))).toBe(result);
  expect(gets).toBe(2);
});

describe('a segment', () => {
  it('is read as it was written, in the form of its first version', async () => {
    const { bytes, checksum } = await encodeSegment(head({ epoch: 3, cutTo: 4 }), lines);
    expect(await decodeSegment(bytes, 'k')).toEqual({
      head: { format: 1, ...head({ epoch: 3, cutTo: 4 }) },
      lines,
      checksum,
    });
    const path = new URL('../../fixtures/segment-1.jsonl.gz', import.meta.url);
    if (process.env['SYNC_AGENT_MAKE_FIXTURE'] === '1') writeFileSync(path, bytes);
    expect(await decodeSegment(readFileSync(path), 'k')).toEqual({
      head: { format: 1, ...head({ epoch: 3, cutTo: 4 }) },
      lines,
      checksum,
    });
    expect(gunzipSync(bytes).toString()).toBe(gunzipSync(readFileSync(path)).toString());
  });

  it('is damaged if it was cut anywhere, and if it is none', async () => {
    const { bytes } = await encodeSegment(head(), lines);
    for (let size = 0; size < bytes.byteLength; size += 1)
      expect(await codeOf(decodeSegment(bytes.subarray(0, size), 'k'))).toBe('SNAPSHOT_CORRUPT');
    for (const text of ['', '\n', 'x', '\n\n', '{"sha256":"x"}\n'])
      expect(await codeOf(decodeSegment(gzipSync(text), 'k'))).toBe('SNAPSHOT_CORRUPT');
    for (const body of ['', '\n', 'no json\n', '[]\n', 'null\n', '{}\n'])
      expect(await codeOf(decodeSegment(seal(body), 'k'))).toBe('SNAPSHOT_CORRUPT');
  });

  it('is damaged, or reads the same, with any bit of it flipped', async () => {
    const { bytes, checksum } = await encodeSegment(head(), lines);
    let damaged = 0;
    for (let bit = 0; bit < bytes.byteLength * 8; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const read = await decodeSegment(flipped, 'k').catch((error: unknown) => error);
      if (isSyncAgentError(read, 'SNAPSHOT_CORRUPT')) damaged += 1;
      // The header of gzip has bits that mean nothing.
      else expect(read).toMatchObject({ checksum, lines });
    }
    expect(damaged).toBeGreaterThan(bytes.byteLength * 7);
  });

  it('with every letter of its text changed is damaged', async () => {
    const text = gunzipSync((await encodeSegment(head(), lines)).bytes).toString('latin1');
    for (let index = 0; index < text.length; index += 1) {
      const changed = text.slice(0, index) + (text[index] === 'x' ? 'y' : 'x') + text.slice(index + 1);
      expect(await codeOf(decodeSegment(gzipSync(Buffer.from(changed, 'latin1')), 'k'))).toBe(
        'SNAPSHOT_CORRUPT',
      );
    }
  });

  it('of a later format says so', async () => {
    const text = `${JSON.stringify({ format: 2, whatever: true })}\n`;
    expect(await codeOf(decodeSegment(seal(text), 'k'))).toBe('TOO_NEW');
  });

  it.each<[string, Partial<Head>, readonly string[]]>([
    ['an operation too many', {}, [...lines, lines[0] ?? '']],
    ['an operation too few', {}, lines.slice(1)],
    ['a wrong count', { operations: 3 }, lines],
    ['a position that its operations do not reach', { to: at(7) }, lines],
    ['a position before its operations', { from: at(3) }, lines],
    ['a cut forward', { cutTo: 5, to: at(7) }, lines],
    ['no snapshot', { snapshot: '../x' }, lines],
    ['the number 0', { number: 0 }, lines],
    ['a number that is none', { number: 1.5 }, lines],
    ['a writer that is none', { writer: '' }, lines],
    ['a previous checksum that is none', { previous: 'x' }, lines],
    ['a time that is none', { readAt: { first: 'x', last: 'x' } }, lines],
  ])('with a right checksum and %s is damaged', async (_, changes, some) => {
    const { bytes } = await encodeSegment(head(changes), some);
    expect(await codeOf(decodeSegment(bytes, 'k'))).toBe('SNAPSHOT_CORRUPT');
  });

  it('that says it is larger than a reader takes is damaged, and no memory is filled', async () => {
    const bomb = gzipSync(Buffer.alloc(65 * 1024 * 1024));
    expect(await codeOf(decodeSegment(bomb, 'k'))).toBe('SNAPSHOT_CORRUPT');
  });
});

describe('the key of a segment', () => {
  it('is below its snapshot, sorts by number and is read back', () => {
    expect(segmentKey(snapshot, 12)).toBe(`history/${snapshot}/.sync-agent/log/0000000012.jsonl.gz`);
    expect(parseSegmentKey(snapshot, segmentKey(snapshot, 12))).toBe(12);
    expect(snapshotOfKey(segmentKey(snapshot, 1))).toBe(snapshot);
  });

  it.each([
    '0000000000.jsonl.gz',
    '1.jsonl.gz',
    '00000000001.jsonl.gz',
    '0000000001.json',
    '000000000a.jsonl.gz',
    '-000000001.jsonl.gz',
    '0000000001.jsonl.gz.tmp',
    'x/0000000001.jsonl.gz',
  ])('is no %s', (name) =>
    expect(parseSegmentKey(snapshot, segmentsPrefix(snapshot) + name)).toBeUndefined(),
  );
});

describe('a chain of segments', () => {
  const segment = async (changes: Partial<Head>): Promise<Segment> => {
    const { bytes } = await encodeSegment(head(changes), lines);
    return decodeSegment(bytes, 'k');
  };
  const end: ChainEnd = { number: 0, checksum: null, position: at(4) };

  it('goes on with a segment that follows in number, checksum and position', async () => {
    const first = await segment({});
    expect(chainProblem(first, end)).toBeUndefined();
    const next = afterSegment(first);
    const second = await segment({ number: 2, previous: first.checksum, from: at(6), to: at(8) });
    expect(chainProblem(second, next)).toBeUndefined();
  });

  it.each<[string, Partial<Head>, RegExp]>([
    ['number', { number: 2 }, /number 2 does not follow 0/],
    ['predecessor', { previous: 'c'.repeat(64) }, /does not name the one before/],
    ['operation', { from: { ...at(4), operation: 'd'.repeat(64) } }, /goes on from operation 4/],
    [
      'number of the operation',
      { from: at(5), to: at(7) },
      /goes on from operation 5, the one before ends at 4/,
    ],
    ['state of the tables', { from: { ...at(4), rest: 'd'.repeat(64) } }, /goes on from operation 4/],
  ])('ends before one with another %s', async (_, changes, why) => {
    expect(chainProblem(await segment(changes), end)).toMatch(why);
  });
});

describe('segments in a remote', () => {
  let remote: Remote;
  beforeEach(() => {
    remote = createMemoryRemote({ now: Date.now });
  });
  const encoded = async (number: number, changes: Partial<Head> = {}) => ({
    snapshot,
    number,
    ...(await encodeSegment(head({ number, ...changes }), lines)),
  });
  /** The put happens, and its answer does not come. */
  const deaf = (isDone = true): Remote => ({
    ...passThrough(remote),
    put: async (...args) => {
      if (isDone) await remote.put(...args);
      throw new SyncAgentError('REMOTE_UNREACHABLE', 'the answer was lost', { retryable: true });
    },
  });

  it('are created once, and again by whoever wrote the same', async () => {
    const mine = await encoded(1);
    expect(await createSegment(remote, mine)).toBe(true);
    expect(await createSegment(remote, mine)).toBe(true);
    expect(await createSegment(remote, await encoded(1, { host: 'other' }))).toBe(false);
    expect((await readSegment(remote, snapshot, 1)).checksum).toBe(mine.checksum);
  });

  it('are there although the answer was lost, and not if the request was', async () => {
    const mine = await encoded(1);
    await expect(createSegment(deaf(false), mine)).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' });
    expect(await createSegment(deaf(), mine)).toBe(true);
    // Another's object under the number is no answer to ours: the next try finds out.
    await expect(createSegment(deaf(false), await encoded(1, { host: 'other' }))).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
    });
  });

  it('are nobody’s if what lies there is damaged or from the future', async () => {
    await remote.put(segmentKey(snapshot, 1), textBody('rotten'));
    expect(await createSegment(remote, await encoded(1))).toBe(false);
    await remote.put(segmentKey(snapshot, 2), bytesBody(seal('{"format":9}\n')));
    expect(await createSegment(remote, await encoded(2))).toBe(false);
    expect((await collect((await remote.get(segmentKey(snapshot, 1))).body, 100)).toString()).toBe('rotten');
  });

  it('are not taken for created if nobody can tell whose they are', async () => {
    await createSegment(remote, await encoded(1, { host: 'other' }));
    const blind: Remote = {
      ...passThrough(remote),
      get: () => Promise.reject(new SyncAgentError('REMOTE_UNREACHABLE', 'down')),
    };
    await expect(createSegment(blind, await encoded(1))).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
    });
  });

  it('replace what is there only in a remote that knows no create-only writes', async () => {
    await createSegment(remote, await encoded(1, { host: 'other' }));
    const mine = await encoded(1);
    expect(await createSegment(remote, mine, { isConditional: false })).toBe(true);
    expect((await readSegment(remote, snapshot, 1)).checksum).toBe(mine.checksum);
  });

  it('are listed up to the first hole, past what has strange names', async () => {
    for (const number of [1, 2, 3, 5]) await createSegment(remote, await encoded(number));
    const other = '2026-11-21T11-30-05.124Z-7f3a9c2e';
    for (const name of ['0000000000.jsonl.gz', '0000000002.json', '1.jsonl.gz', 'x', '0000000003.jsonl.gz/x'])
      await remote.put(segmentsPrefix(snapshot) + name, textBody('strange'));
    await remote.put(segmentKey(other, 4), textBody('strange'));
    const numbers = async (options?: { readonly after: number }) =>
      (await listSegments(remote, snapshot, options)).map(({ number }) => number);
    expect(await numbers()).toEqual([1, 2, 3]);
    expect(await numbers({ after: 2 })).toEqual([3]);
    expect(await numbers({ after: 3 })).toEqual([]);
    expect(await numbers({ after: 4 })).toEqual([5]);
    await remote.remove([segmentKey(snapshot, 1)]);
    expect(await numbers()).toEqual([]);
  });

  it('are listed over many pages', async () => {
    for (let number = 1; number <= 2100; number += 1)
      await remote.put(segmentKey(snapshot, number), textBody('x'));
    expect(await listSegments(remote, snapshot)).toHaveLength(2100);
    expect(await listSegments(remote, snapshot, { after: 1050 })).toHaveLength(1050);
  });

  it('are damaged under another’s number or snapshot, and missing where they are missing', async () => {
    const { bytes } = await encoded(1);
    const other = '2026-11-21T11-30-05.124Z-7f3a9c2e';
    await remote.put(segmentKey(snapshot, 2), bytesBody(bytes));
    await remote.put(segmentKey(other, 1), bytesBody(bytes));
    expect(await codeOf(readSegment(remote, snapshot, 2))).toBe('SNAPSHOT_CORRUPT');
    expect(await codeOf(readSegment(remote, other, 1))).toBe('SNAPSHOT_CORRUPT');
    expect(await codeOf(readSegment(remote, snapshot, 1))).toBe('NOT_FOUND');
  });
});
