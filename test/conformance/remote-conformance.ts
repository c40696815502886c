import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SyncAgentError, isSyncAgentError } from '../../src/platform/errors.ts';
import { bytesBody, collect, textBody } from '../../src/remotes/body.ts';
import { concurrently } from '../../src/platform/concurrently.ts';
import { DurableLater } from '../../src/remotes/durable-later.ts';
import type { Body, GetOptions, ListOptions, ListPage, Parts, Remote } from '../../src/remotes/remote.ts';

export interface MadeStore {
  readonly remote: Remote;
  close(): Promise<void>;
}

const MiB = 1024 * 1024;
/** More than one part of any remote. */
const bigBytes = 12 * MiB + 345;
const oddNames = [
  'a b',
  'a+b',
  'a&b=c',
  'a%20b',
  'a%b',
  '100%',
  'ä ö ü/ß',
  '日本語/ファイル',
  '😀.bin',
  'q?x#y',
  'quote\'and"double',
  '<tag>',
  'semi;colon:comma,',
  'back\\slash',
  'star*(paren)!',
  '$dollar@at~tilde',
  '.hidden',
  '...',
  'trailing.',
  ' leading',
  'tab\there',
  'new\nline',
];

/**
 * One test per promise of `Remote`. Each works below a prefix of its own, so that one remote, and one bucket on a
 * real server, serves them all.
 */
export function describeRemote(name: string, makeStore: () => Promise<MadeStore>): void {
  describe(name, { timeout: 120_000 }, () => {
    let made: MadeStore;
    let remote: Remote;
    let prefixes = 0;
    const unique = (): string => `t${String((prefixes += 1)).padStart(3, '0')}/`;

    beforeAll(async () => {
      made = await makeStore();
      remote = made.remote;
    }, 60_000);
    afterAll(async () => {
      await made?.close();
    }, 60_000);

    const read = async (key: string, options?: GetOptions): Promise<Buffer> => {
      const { body, size } = await remote.get(key, options);
      const bytes = await collect(body, 64 * MiB);
      expect(bytes.byteLength).toBe(size);
      return bytes;
    };
    const keysOf = async (prefix: string, options?: ListOptions): Promise<string[]> =>
      (await pagesOf(remote, prefix, options)).flatMap(({ objects }) => objects.map(({ key }) => key));

    it('reads back what was written, whatever the size', async () => {
      const prefix = unique();
      for (const size of [0, 1, 17, 65_536, 1_000_001]) {
        const bytes = randomBytes(size);
        await remote.put(`${prefix}${size}`, bytesBody(bytes));
        expect((await read(`${prefix}${size}`)).equals(bytes)).toBe(true);
        expect((await remote.head(`${prefix}${size}`))?.size).toBe(size);
      }
    });

    it('accepts a body with its checksum', async () => {
      const prefix = unique();
      const bytes = randomBytes(1000);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      await remote.put(`${prefix}a`, bytesBody(bytes), { sha256, contentType: 'application/json' });
      expect((await read(`${prefix}a`)).equals(bytes)).toBe(true);
    });

    it('shows a replaced object to every later read', async () => {
      const key = `${unique()}key`;
      for (let round = 0; round < 20; round += 1) {
        const text = `round ${round} ${'x'.repeat(round)}`;
        await remote.put(key, textBody(text));
        expect((await read(key)).toString()).toBe(text);
        expect((await remote.head(key))?.size).toBe(text.length);
        expect(await keysOf(key)).toEqual([key]);
      }
    });

    it('lets exactly one of racing create-only writers win', async () => {
      const prefix = unique();
      for (let round = 0; round < 6; round += 1) {
        const key = `${prefix}commits/${round}.json`;
        const racers = Array.from({ length: 8 }, (_, racer) =>
          remote.put(key, textBody(`racer ${racer}`), { ifAbsent: true }),
        );
        const outcomes = await Promise.allSettled(racers);
        const winners = outcomes.flatMap(({ status }, racer) => (status === 'fulfilled' ? [racer] : []));
        expect(winners).toHaveLength(1);
        for (const outcome of outcomes)
          if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'ALREADY_EXISTS' });
        expect((await read(key)).toString()).toBe(`racer ${winners[0]}`);
      }
    });

    it('lets a create-only write succeed again after a removal', async () => {
      const key = `${unique()}key`;
      await remote.put(key, textBody('one'), { ifAbsent: true });
      await expect(remote.put(key, textBody('two'), { ifAbsent: true })).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
      });
      await remote.remove([key]);
      await remote.put(key, textBody('three'), { ifAbsent: true });
      expect((await read(key)).toString()).toBe('three');
    });

    it('shows whole objects only while they are replaced', async () => {
      const key = `${unique()}key`;
      const version = (fill: number): Body => bytesBody(Buffer.alloc(300_000 + fill * 1000, fill));
      await remote.put(key, version(1));
      const progress = { writing: true };
      const writer = (async () => {
        for (let fill = 2; fill < 25; fill += 1) await remote.put(key, version(fill));
        progress.writing = false;
      })();
      let reads = 0;
      while (progress.writing) {
        const bytes = await read(key);
        const fill = bytes[0] ?? 0;
        expect(bytes.equals(Buffer.alloc(300_000 + fill * 1000, fill))).toBe(true);
        reads += 1;
      }
      await writer;
      expect(reads).toBeGreaterThan(0);
    });

    it('rejects reading a missing object, and does not find it', async () => {
      const prefix = unique();
      await expect(remote.get(`${prefix}missing`)).rejects.toMatchObject({
        code: 'NOT_FOUND',
        retryable: false,
      });
      expect(await remote.head(`${prefix}missing`)).toBeUndefined();
      await expect(remote.copy(`${prefix}missing`, `${prefix}target`)).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
      expect(await remote.head(`${prefix}target`)).toBeUndefined();
      await remote.remove([`${prefix}missing`, `${prefix}missing/too`]);
    });

    it('lists an absent prefix as one empty page', async () => {
      const pages = await pagesOf(remote, `${unique()}nothing/`);
      expect(pages.map(({ objects }) => objects)).toEqual([[]]);
      expect(Math.abs((pages[0]?.serverTime.getTime() ?? 0) - Date.now())).toBeLessThan(24 * 3_600_000);
    });

    it('lists in the order of UTF-8 bytes, and by plain string prefix', async () => {
      const prefix = unique();
      const names = ['a', 'a-b', 'a.b', 'b/b', 'b/c/d', 'b-', 'b0', 'B', 'é', '\uffe5', '😀', 'z'];
      await concurrently(
        names,
        { concurrency: 4 },
        async (each) => void (await remote.put(prefix + each, textBody(each))),
      );
      const sorted = names
        .map((each) => prefix + each)
        .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(await keysOf(prefix)).toEqual(sorted);
      expect(await keysOf(`${prefix}b`)).toEqual(sorted.filter((key) => key.startsWith(`${prefix}b`)));
      expect(await keysOf(`${prefix}b/`)).toEqual([`${prefix}b/b`, `${prefix}b/c/d`]);
      for (const [index, key] of sorted.entries())
        expect(await keysOf(prefix, { startAfter: key })).toEqual(sorted.slice(index + 1));
      expect(await keysOf(prefix, { startAfter: `${prefix}b/c` })).toEqual(
        sorted.slice(sorted.indexOf(`${prefix}b/c/d`)),
      );
      expect(await remote.listDirectories(prefix)).toMatchObject({ names: ['b'] });
      expect(await remote.listDirectories(`${prefix}b/`)).toMatchObject({ names: ['c'] });
      expect(await remote.listDirectories(`${prefix}none/`)).toMatchObject({ names: [] });
    });

    it('lists and removes more objects than fit one page', async () => {
      const prefix = unique();
      const keys = Array.from(
        { length: 1050 },
        (_, index) => `${prefix}${String(index % 7)}/${String(index).padStart(5, '0')}`,
      ).toSorted();
      await concurrently(
        keys,
        { concurrency: 16 },
        async (key) => void (await remote.put(key, textBody(key))),
      );
      const pages = await pagesOf(remote, prefix);
      expect(pages.length).toBeGreaterThan(1);
      expect(pages.flatMap(({ objects }) => objects.map(({ key }) => key))).toEqual(keys);
      expect((await remote.listDirectories(prefix)).names).toEqual(['0', '1', '2', '3', '4', '5', '6']);
      await remote.remove(keys.slice(1));
      expect(await keysOf(prefix)).toEqual(keys.slice(0, 1));
    });

    it('names every directory when there are more than fit one page', async () => {
      const prefix = unique();
      const names = Array.from({ length: 1003 }, (_, index) => `d${String(index).padStart(4, '0')}`);
      const keys = names.map((each) => `${prefix}${each}/x/y`);
      await concurrently(
        keys,
        { concurrency: 16 },
        async (key) => void (await remote.put(key, textBody(''))),
      );
      expect((await remote.listDirectories(prefix)).names).toEqual(names);
      await remote.remove(keys);
      expect((await remote.listDirectories(prefix)).names).toEqual([]);
    });

    it('keeps odd keys as they are, through every operation', async () => {
      const prefix = unique();
      for (const odd of oddNames) {
        await remote.put(`${prefix}from/${odd}`, textBody(odd));
        await remote.copy(`${prefix}from/${odd}`, `${prefix}to/${odd}`);
        expect((await read(`${prefix}to/${odd}`)).toString()).toBe(odd);
        expect((await remote.head(`${prefix}to/${odd}`))?.size).toBe(Buffer.byteLength(odd));
      }
      const listed = await keysOf(`${prefix}to/`);
      expect(new Set(listed)).toEqual(new Set(oddNames.map((odd) => `${prefix}to/${odd}`)));
      for (const key of listed)
        expect((await keysOf(`${prefix}to/`, { startAfter: key }))[0]).toBe(listed[listed.indexOf(key) + 1]);
      await remote.remove(listed);
      expect(await keysOf(`${prefix}to/`)).toEqual([]);
      const [first = '', ...rest] = await keysOf(`${prefix}from/`);
      await remote.remove([first]);
      for (const key of rest) await remote.remove([key]);
      expect(await keysOf(`${prefix}from/`)).toEqual([]);
    });

    it('refuses what is not a key, before anything is written', async () => {
      const prefix = unique();
      for (const bad of [
        '',
        '/',
        `${prefix}/x`,
        `/${prefix}x`,
        `${prefix}..`,
        `${prefix}../x`,
        `${prefix}./x`,
        `${prefix}nul\0`,
        `${prefix}${'x'.repeat(1025)}`,
        prefix,
      ]) {
        await expect(remote.put(bad, textBody('x')), JSON.stringify(bad)).rejects.toMatchObject({
          code: 'REFUSED',
        });
      }
      expect(await keysOf(prefix)).toEqual([]);
    });

    it('reads ranges', async () => {
      const key = `${unique()}key`;
      const bytes = randomBytes(300_000);
      await remote.put(key, bytesBody(bytes));
      for (const [start, end] of [
        [0, 1],
        [0, 300_000],
        [299_999, 300_000],
        [123, 200_456],
        [250_000, 400_000],
      ] as const) {
        expect((await read(key, { range: { start, end } })).equals(bytes.subarray(start, end))).toBe(true);
      }
      await expect(remote.get(key, { range: { start: 300_000, end: 300_001 } })).rejects.toMatchObject({
        code: 'REMOTE_UNREACHABLE',
        retryable: false,
      });
      await expect(remote.get(key, { range: { start: 5, end: 5 } })).rejects.toThrow(RangeError);
    });

    it('reads on only from the same version', async () => {
      const key = `${unique()}key`;
      await remote.put(key, textBody('first content'));
      const { version, body } = await remote.get(key);
      await collect(body, 100);
      expect((await read(key, { ifVersion: version, range: { start: 6, end: 13 } })).toString()).toBe(
        'content',
      );
      await remote.put(key, textBody('other content'));
      await expect(remote.get(key, { ifVersion: version })).rejects.toMatchObject({
        code: 'REMOTE_UNREACHABLE',
        retryable: false,
      });
    });

    it('lets a reader leave early', async () => {
      const key = `${unique()}key`;
      await remote.put(key, bytesBody(randomBytes(2 * MiB)));
      for (let round = 0; round < 5; round += 1) {
        const { body } = await remote.get(key);
        for await (const chunk of body) {
          expect(chunk.byteLength).toBeGreaterThan(0);
          break;
        }
      }
      expect((await read(key)).byteLength).toBe(2 * MiB);
    });

    it('removes what it is told and nothing else', async () => {
      const prefix = unique();
      const keys = ['a', 'a/b', 'ab', 'b/c', 'b/d']
        .map((each) => prefix + each)
        .filter((key) => key !== `${prefix}a`);
      for (const key of keys) await remote.put(key, textBody(key));
      await remote.remove([`${prefix}a`, `${prefix}b`, `${prefix}b/c`, `${prefix}missing`]);
      expect(await keysOf(prefix)).toEqual([`${prefix}a/b`, `${prefix}ab`, `${prefix}b/d`]);
      await remote.remove([]);
    });

    it('keeps an object written while its neighbours are removed', async () => {
      const prefix = unique();
      for (let round = 0; round < 20; round += 1) {
        const [old, fresh] = [`${prefix}deep/er/old${round}`, `${prefix}deep/er/new${round}`];
        await remote.put(old, textBody('old'));
        await Promise.all([remote.remove([old]), remote.put(fresh, textBody('fresh'))]);
        expect((await read(fresh)).toString()).toBe('fresh');
        expect(await keysOf(prefix)).toEqual([fresh]);
        await remote.remove([fresh]);
      }
    });

    it('copies, replacing the target, and both live on their own', async () => {
      const prefix = unique();
      await remote.put(`${prefix}history/ä b/x`, textBody('new'));
      await remote.put(`${prefix}current/x`, textBody('old and longer'));
      await remote.copy(`${prefix}history/ä b/x`, `${prefix}current/x`);
      await remote.copy(`${prefix}history/ä b/x`, `${prefix}current/x`);
      expect((await read(`${prefix}current/x`)).toString()).toBe('new');
      await remote.put(`${prefix}current/x`, textBody('changed'));
      expect((await read(`${prefix}history/ä b/x`)).toString()).toBe('new');
      await remote.copy(`${prefix}history/ä b/x`, `${prefix}current/x`);
      await remote.remove([`${prefix}history/ä b/x`]);
      expect((await read(`${prefix}current/x`)).toString()).toBe('new');
    });

    it('keeps a body of several parts whole, and copies it', async () => {
      const prefix = unique();
      const bytes = randomBytes(bigBytes);
      let sent = 0;
      await remote.put(`${prefix}big`, piecesBody(bytes), { onBytes: (count) => (sent += count) });
      expect(sent).toBe(bigBytes);
      expect((await read(`${prefix}big`)).equals(bytes)).toBe(true);
      await remote.copy(`${prefix}big`, `${prefix}copy`);
      expect((await read(`${prefix}copy`)).equals(bytes)).toBe(true);
      expect(
        (await read(`${prefix}copy`, { range: { start: 5 * MiB - 3, end: 5 * MiB + 3 } })).equals(
          bytes.subarray(5 * MiB - 3, 5 * MiB + 3),
        ),
      ).toBe(true);
    });

    it('stores the body itself, whatever base it is given', async () => {
      const prefix = unique();
      const old = randomBytes(bigBytes);
      const { parts = partsOf(old, 5 * MiB) } = await remote.put(`${prefix}old`, bytesBody(old));
      expect(parts).toEqual(partsOf(old, parts.bytes));
      const grown = Buffer.concat([old, randomBytes(MiB)]);
      grown.writeUInt32LE(grown.readUInt32LE(0) + 1, 0);
      const none = randomBytes(bigBytes);
      const cases = {
        grown,
        shrunk: old.subarray(0, bigBytes - 2 * MiB),
        equal: old,
        none,
        small: old.subarray(0, MiB),
        empty: Buffer.alloc(0),
      };
      for (const [kind, bytes] of Object.entries(cases)) {
        for (const [how, base] of Object.entries({
          there: { key: `${prefix}old`, parts },
          gone: { key: `${prefix}gone`, parts },
          'of other parts': { key: `${prefix}old`, parts: partsOf(old, 6 * MiB + 1) },
        })) {
          let told = 0;
          const put = await remote.put(`${prefix}new`, piecesBody(bytes), {
            base,
            onBytes: (count) => (told += count),
          });
          expect((await read(`${prefix}new`)).equals(bytes), `${kind}, base ${how}`).toBe(true);
          expect(told).toBe(bytes.byteLength);
          if (put.parts !== undefined) expect(put.parts).toEqual(partsOf(bytes, put.parts.bytes));
        }
      }
    });

    it('has an object that is durable later at once, and after the flush', async () => {
      const prefix = unique();
      const durableLater = new DurableLater();
      const bytes = randomBytes(1000);
      const keys = Array.from({ length: 300 }, (_, index) => `${prefix}${index % 3}/${index}`);
      for (const key of keys) await remote.put(key, piecesBody(bytes), { durableLater });
      await remote.copy(keys[0] ?? '', `${prefix}copy`, { durableLater });
      expect((await read(`${prefix}copy`)).equals(bytes)).toBe(true);
      // What somebody else removes meanwhile is no failure.
      await remote.remove([keys[1] ?? '']);
      await durableLater.flush();
      await durableLater.flush();
      for (const key of [keys[0] ?? '', keys[299] ?? '']) expect((await read(key)).equals(bytes)).toBe(true);
    });

    it('shows an object only after what it is to come after, and not at all if that fails', async () => {
      const prefix = unique();
      for (const size of [1000, bigBytes]) {
        const bytes = randomBytes(size);
        const key = `${prefix}${size}`;
        let release = (): void => undefined;
        const before = new Promise<void>((resolve) => (release = resolve));
        const put = remote.put(key, piecesBody(bytes), { after: before });
        for (let looks = 0; looks < 3; looks += 1) expect(await remote.head(key)).toBeUndefined();
        release();
        await put;
        expect((await read(key)).equals(bytes)).toBe(true);

        const after = Promise.reject(new SyncAgentError('DENIED', 'not today'));
        // Parts are sent before anybody waits for it.
        after.catch(() => undefined);
        await expect(remote.put(`${key}x`, piecesBody(bytes), { after })).rejects.toMatchObject({
          code: 'DENIED',
        });
        await expect(remote.copy(key, `${key}x`, { after })).rejects.toMatchObject({ code: 'DENIED' });
        expect(await remote.head(`${key}x`)).toBeUndefined();
      }
    });

    it('leaves no object behind when the source fails, and takes the same body again', async () => {
      const prefix = unique();
      for (const size of [100_000, bigBytes]) {
        const bytes = randomBytes(size);
        let opened = 0;
        const body: Body = {
          size,
          open: async function* () {
            opened += 1;
            yield bytes.subarray(0, size / 2);
            if (opened === 1) throw new Error('the disk is on fire');
            yield bytes.subarray(size / 2);
          },
        };
        const failure = await remote.put(`${prefix}${size}`, body).catch((error: unknown) => error);
        expect(failure).toMatchObject({ code: 'INTERNAL', retryable: false });
        expect(String(failure)).toContain('the disk is on fire');
        expect(await remote.head(`${prefix}${size}`)).toBeUndefined();
        await remote.put(`${prefix}${size}`, body);
        expect((await read(`${prefix}${size}`)).equals(bytes)).toBe(true);
      }
      expect(await remote.sweepUploads(prefix, new Date(Date.now() + 86_400_000))).toBe(0);
    });

    it('refuses a body that is shorter or longer than it says', async () => {
      const prefix = unique();
      for (const size of [10, bigBytes]) {
        for (const real of [size - 1, size + 1]) {
          const body = { ...bytesBody(Buffer.alloc(real)), size };
          await expect(remote.put(`${prefix}x`, body)).rejects.toMatchObject({ code: 'INTERNAL' });
          expect(await remote.head(`${prefix}x`)).toBeUndefined();
        }
      }
    });

    it('ends every call with INTERRUPTED once the signal is aborted', async () => {
      const prefix = unique();
      await remote.put(`${prefix}x`, textBody('x'));
      const signal = AbortSignal.abort();
      const interrupted = { code: 'INTERRUPTED' };
      await expect(remote.put(`${prefix}y`, textBody('y'), { signal })).rejects.toMatchObject(interrupted);
      await expect(remote.get(`${prefix}x`, { signal })).rejects.toMatchObject(interrupted);
      await expect(remote.head(`${prefix}x`, { signal })).rejects.toMatchObject(interrupted);
      await expect(pagesOf(remote, prefix, { signal })).rejects.toMatchObject(interrupted);
      await expect(remote.listDirectories(prefix, { signal })).rejects.toMatchObject(interrupted);
      await expect(remote.copy(`${prefix}x`, `${prefix}y`, { signal })).rejects.toMatchObject(interrupted);
      await expect(remote.remove([`${prefix}x`], { signal })).rejects.toMatchObject(interrupted);
      expect(await keysOf(prefix)).toEqual([`${prefix}x`]);
    });

    it('stops an upload and a download in the middle, leaving nothing behind', async () => {
      const prefix = unique();
      const bytes = randomBytes(bigBytes);
      const upload = new AbortController();
      const body: Body = {
        size: bigBytes,
        open: async function* () {
          yield bytes.subarray(0, 6 * MiB);
          upload.abort();
          yield bytes.subarray(6 * MiB);
        },
      };
      await expect(remote.put(`${prefix}x`, body, { signal: upload.signal })).rejects.toMatchObject({
        code: 'INTERRUPTED',
      });
      expect(await remote.head(`${prefix}x`)).toBeUndefined();
      expect(await remote.sweepUploads(prefix, new Date(Date.now() + 86_400_000))).toBe(0);

      await remote.put(`${prefix}x`, bytesBody(bytes));
      const download = new AbortController();
      const { body: stream } = await remote.get(`${prefix}x`, { signal: download.signal });
      const failure = await (async () => {
        for await (const _ of stream) download.abort();
      })().catch((error: unknown) => error);
      expect(isSyncAgentError(failure, 'INTERRUPTED')).toBe(true);
    });

    it('tells the time by one clock', async () => {
      const prefix = unique();
      const { serverTime } = await remote.put(`${prefix}x`, textBody('x'));
      await remote.copy(`${prefix}x`, `${prefix}y`);
      const [page] = await pagesOf(remote, prefix);
      const head = await remote.head(`${prefix}x`);
      const { serverTime: readAt, body } = await remote.get(`${prefix}x`);
      await collect(body, 1);
      const times = [
        page?.serverTime,
        readAt,
        head?.lastModified,
        ...(page?.objects ?? []).map(({ lastModified }) => lastModified),
      ];
      expect(times).toHaveLength(5);
      for (const time of times)
        expect(Math.abs((time?.getTime() ?? 0) - serverTime.getTime())).toBeLessThan(5000);
    });
  });
}

async function pagesOf(remote: Remote, prefix: string, options?: ListOptions): Promise<ListPage[]> {
  const pages: ListPage[] = [];
  for await (const page of remote.list(prefix, options)) pages.push(page);
  return pages;
}

/** Comes in pieces that fit no part size. */
function piecesBody(bytes: Buffer): Body {
  return {
    size: bytes.byteLength,
    open: async function* ({ start, end } = { start: 0, end: bytes.byteLength }) {
      for (let position = start; position < end; position += 777_777)
        yield bytes.subarray(position, Math.min(end, position + 777_777));
    },
  };
}

/** What is in `bytes`, part by part. */
function partsOf(bytes: Buffer, partBytes: number): Parts {
  const starts = Array.from({ length: Math.ceil(bytes.byteLength / partBytes) }, (_, i) => i * partBytes);
  const part = (start: number): Buffer => bytes.subarray(start, start + partBytes);
  const hash = (start: number): string => createHash('sha256').update(part(start)).digest('hex');
  return { bytes: partBytes, sha256: starts.map(hash) };
}
