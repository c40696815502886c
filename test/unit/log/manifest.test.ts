import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSyncAgentError } from '../../../src/platform/errors.ts';
import { logEntryOf } from '../../../src/log/manifest.ts';
import { decodeManifest, encodeManifest, manifestBody } from '../../../src/log/manifest-text.ts';
import type { Manifest } from '../../../src/log/manifest.ts';
import { pathProblem } from '../../../src/log/layout.ts';
import { collect } from '../../../src/remotes/body.ts';

const decode = (text: string, key: string): Manifest => decodeManifest(text, key, [1]);

const idOf = (n: number): string => `2026-01-01T00-00-00.000Z-${String(n).padStart(8, '0')}`;

const paths = fc
  .array(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }).map((segment) => segment.replaceAll('/', '_')),
    { minLength: 1, maxLength: 4 },
  )
  .map((segments) => segments.join('/'))
  .filter((path) => pathProblem(path) === undefined);

/** A tree: no path twice, none that is a file and a directory. */
const trees = fc
  .uniqueArray(paths, { maxLength: 8 })
  .map((all) => all.filter((path) => !all.some((other) => path.startsWith(`${other}/`))));

const manifests: fc.Arbitrary<Manifest> = fc
  .record({
    tree: trees,
    size: fc.nat(),
    mode: fc.nat({ max: 0o777 }),
    mtimeMs: fc.integer(),
    dirs: fc.nat(2),
  })
  .map(({ tree, size, mode, mtimeMs, dirs }) => ({
    format: 1 as const,
    id: idOf(2),
    generation: 2,
    parent: idOf(1),
    createdAt: '2026-01-01T00:00:00.000Z',
    uploadId: '0'.repeat(32),
    host: 'host',
    agent: 'sync-agent/0',
    adapter: 'files' as const,
    files: tree.slice(dirs).map((path) => ({ path, size, sha256: 'a'.repeat(64), mode, mtimeMs })),
    emptyDirectories: tree.slice(0, dirs),
    mode,
    directories: tree.slice(0, dirs).map((path) => ({ path, mode })),
    statistics: { records: tree.length },
    stall: { heldMs: 0, longestHoldMs: 0 },
    log: [],
    resolved: [],
  }));

describe('a manifest of a later format', () => {
  const readable = [1, 2];
  const later = (extra: Partial<Manifest> = {}): Manifest => ({
    ...sample(),
    format: 2,
    content: { packs: [1, 2] },
    ...extra,
  });
  const refused = (code: string) => expect.objectContaining({ code }) as Error;

  it('is read with its content by a reader that knows the format', () => {
    for (const manifest of [later(), later({ linked: true })])
      expect(decodeManifest(encodeManifest(manifest), 'key', readable)).toEqual(manifest);
    expect(logEntryOf(later({ linked: true }))).toMatchObject({ linked: true });
    expect(logEntryOf(later())).not.toHaveProperty('linked');
  });

  it('is too new only for a reader that does not know it', () => {
    const text = encodeManifest(later());
    expect(() => decodeManifest(text, 'key', [1])).toThrow(refused('TOO_NEW'));
    expect(() => decodeManifest(text, 'key', [1, 3])).toThrow(refused('TOO_NEW'));
  });

  it('is damaged if a bit of its format flipped, known or not', () => {
    const text = encodeManifest(later());
    for (const flipped of ['3', '6', '0'])
      expect(() =>
        decodeManifest(text.replace('"format": 2', `"format": ${flipped}`), 'key', readable),
      ).toThrow(refused('SNAPSHOT_CORRUPT'));
  });

  it('is damaged if its content is missing', () => {
    const { content: _, ...rest } = later();
    expect(() => decodeManifest(encodeManifest(rest), 'key', readable)).toThrow(refused('SNAPSHOT_CORRUPT'));
  });
});

describe('a manifest', () => {
  it('is read as it was written, whatever the names of its files', () => {
    fc.assert(
      fc.property(manifests, (manifest) => {
        expect(decode(encodeManifest(manifest), 'key')).toEqual(manifest);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps its checksum with members that a later version of this format may add', () => {
    const manifest = { ...sample(), later: { nested: ['x'] } };
    expect(decode(encodeManifest(manifest), 'key')).toEqual(sample());
  });

  it('is the JSON of its members and of their checksum, however many files it has', async () => {
    const asJson = (value: object): string => `${JSON.stringify(value, null, 1)}\n`;
    for (const count of [0, 1, 249, 250, 251, 2000]) {
      const files = Array.from({ length: count }, (_, index) => ({
        path: `ü "${index}"\n😀/x`,
        size: index,
        sha256: 'a'.repeat(64),
        mode: 0o600,
        mtimeMs: 1.5,
        ...(index % 3 === 0 ? { in: idOf(1) } : {}),
      }));
      const manifest: Manifest = { ...sample(), epoch: undefined, files };
      const checksum = createHash('sha256').update(asJson(manifest)).digest('hex');
      const expected = asJson({ ...manifest, checksum });
      expect(encodeManifest(manifest)).toBe(expected);
      const body = manifestBody(manifest);
      const bytes = Buffer.from(expected);
      expect(body.size).toBe(bytes.byteLength);
      expect((await collect(body.open(), body.size)).equals(bytes)).toBe(true);
      for (const [start, end] of [
        [0, 1],
        [70_000, 140_001],
        [bytes.byteLength - 10, bytes.byteLength],
      ] as const) {
        const range = { start: Math.min(start, bytes.byteLength - 1), end: Math.min(end, bytes.byteLength) };
        const part = await collect(body.open(range), body.size);
        expect(part.equals(bytes.subarray(range.start, range.end))).toBe(true);
      }
      expect(decode(expected, 'key').files).toHaveLength(count);
    }
  });

  it('with many files is never text as a whole', async () => {
    const [file] = sample().files;
    const files = Array.from({ length: 10_000 }, (_, index) => ({ ...file, path: `${index}` }));
    let largest = 0;
    for await (const chunk of manifestBody({ ...sample(), files } as Manifest).open())
      largest = Math.max(largest, chunk.byteLength);
    expect(largest).toBeLessThan(200_000);
  });

  it('is summed up by its log entry', () => {
    expect(logEntryOf(sample())).toEqual({
      generation: 2,
      id: idOf(2),
      parent: idOf(1),
      createdAt: '2026-01-01T00:00:00.000Z',
      host: 'host',
      bytes: 3,
      records: 1,
    });
    const linked = { ...sample(), files: sample().files.map((file) => ({ ...file, in: idOf(1) })) };
    expect(logEntryOf(linked)).toMatchObject({ linked: true });
  });
});

describe('bit rot in a manifest', () => {
  it('is found, whichever bit flips: it never looks like other content or like a newer version', () => {
    const text = Buffer.from(encodeManifest(sample()));
    for (let bit = 0; bit < text.length * 8; bit += 1) {
      const rotten = Buffer.from(text);
      rotten[bit >> 3] = (rotten[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        expect(decode(rotten.toString('utf8'), 'commits/2.json')).toEqual(sample());
      } catch (error) {
        if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT'))
          throw new Error(`bit ${bit}: ${String(error)}`, { cause: error });
        expect(error.message).toContain('"commits/2.json"');
      }
    }
  });

  it('is found when a piece is missing, doubled or zeroed', () => {
    const text = encodeManifest(sample());
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.integer({ min: 1, max: 64 }), (at, length) => {
        const piece = text.slice(at, at + length);
        const ways = [
          text.slice(0, at),
          text.slice(0, at) + text.slice(at + length),
          text.slice(0, at) + piece + text.slice(at),
          text.slice(0, at) + '\0'.repeat(piece.length) + text.slice(at + length),
        ];
        for (const rotten of ways) {
          let read: Manifest | undefined;
          try {
            read = decode(rotten, 'key');
          } catch (error) {
            // What is left may have a great number where the format was: who stops there does no harm.
            if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT') && !isSyncAgentError(error, 'TOO_NEW'))
              throw error;
          }
          if (read !== undefined) expect(read).toEqual(sample());
        }
      }),
      { numRuns: 200 },
    );
  });
});

function sample(): Manifest {
  return {
    format: 1,
    id: idOf(2),
    generation: 2,
    parent: idOf(1),
    createdAt: '2026-01-01T00:00:00.000Z',
    uploadId: '0'.repeat(32),
    host: 'host',
    agent: 'sync-agent/0',
    adapter: 'files',
    files: [{ path: 'sub/é.txt', size: 3, sha256: 'a'.repeat(64), mode: 0o600, mtimeMs: 1 }],
    emptyDirectories: ['empty'],
    statistics: { records: 1 },
    stall: { heldMs: 0, longestHoldMs: 0 },
    log: [
      {
        generation: 1,
        id: idOf(1),
        parent: null,
        createdAt: '2026-01-01T00:00:00.000Z',
        host: 'host',
        bytes: 3,
        records: 1,
      },
    ],
    resolved: [],
  };
}
