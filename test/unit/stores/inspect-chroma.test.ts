import {
  copyFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, test } from 'vitest';
import { inspectChroma } from '../../../src/stores/chroma/inspect-chroma.ts';
import type { InspectOptions, StoreReport } from '../../../src/stores/adapter.ts';
import { fingerprintOf, unpackFixture } from '../../support/fixtures.ts';
import type { Fixture } from '../../support/fixtures.ts';

const root = mkdtempSync(join(tmpdir(), 'inspect-chroma-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
function unpack(name: Fixture): string {
  return unpackFixture(name, join(root, String(made++)));
}

/** Inspects, and checks on the way that nothing below the directory changed. */
async function inspect(dir: string, level: InspectOptions['level'] = 'full'): Promise<StoreReport> {
  const before = fingerprintOf(dir);
  const report = await inspectChroma(dir, { level });
  expect(fingerprintOf(dir)).toEqual(before);
  return report;
}

async function problemsOf(dir: string): Promise<string> {
  return (await inspect(dir)).damage.map(({ message }) => message).join('\n');
}

function withDatabase<T>(dir: string, use: (db: Database.Database) => T): T {
  const db = new Database(join(dir, 'chroma.sqlite3'));
  try {
    return use(db);
  } finally {
    db.close();
  }
}

/** The folder of a collection's vector segment, and up to which operation it was persisted. */
function segmentOf(
  dir: string,
  collection: string,
): { id: string; path: string; indexedUpTo: number; topic: string } {
  return withDatabase(dir, (db) => {
    const row = db
      .prepare(
        "SELECT s.id, c.id AS collection, m.seq_id AS seqId FROM segments s JOIN collections c ON c.id = s.collection LEFT JOIN max_seq_id m ON m.segment_id = s.id WHERE s.scope = 'VECTOR' AND c.name = ?",
      )
      .get(collection) as { id: string; collection: string; seqId: number | Buffer | null };
    const indexedUpTo = Buffer.isBuffer(row.seqId) ? Number(row.seqId.readBigInt64BE()) : (row.seqId ?? 0);
    return {
      id: row.id,
      path: join(dir, row.id),
      indexedUpTo,
      topic: `persistent://default/default/${row.collection}`,
    };
  });
}

describe('a sound store has no problems and the records its users count', () => {
  const pythonEra = { colA: 1330, cosB: 698, tiny: 5 };
  const expected: Record<Fixture, Record<string, number>> = {
    'chroma-0.4.24': pythonEra,
    'chroma-0.5.5': pythonEra,
    'chroma-0.5.23': pythonEra,
    'chroma-0.6.3': pythonEra,
    'chroma-1-a': {
      'alpha-l2': 57,
      'beta-cosine': 45,
      'delta-unpersisted': 6,
      'empty-one': 0,
      'gamma-ip': 33,
    },
    'chroma-1-b': {
      'alpha-l2': 91,
      'beta-cosine': 45,
      'delta-unpersisted': 6,
      'empty-one': 0,
      'gamma-ip': 59,
    },
  };
  for (const [name, counts] of Object.entries(expected) as [Fixture, Record<string, number>][]) {
    for (const level of ['proven', 'quick', 'full'] as const) {
      test(`${name}, ${level}`, async () => {
        const { damage, findings, statistics } = await inspect(unpack(name), level);
        expect([damage, findings]).toEqual([[], []]);
        expect(
          Object.fromEntries(statistics.collections?.map((each) => [each.name, each.records]) ?? []),
        ).toEqual(counts);
        expect(statistics.records).toBe(Object.values(counts).reduce((a, b) => a + b));
        expect(statistics.collections?.[0]).toMatchObject({
          tenant: 'default_tenant',
          database: 'default_database',
        });
      });
    }
  }

  test('names that are too long for a manifest are cut in its statistics', async () => {
    const dir = unpack('chroma-1-a');
    withDatabase(dir, (db) => {
      db.prepare("UPDATE collections SET name = ? WHERE name = 'alpha-l2'").run('a'.repeat(1025));
      db.prepare('UPDATE collections SET name = ? WHERE name = ?').run('b'.repeat(1024), 'beta-cosine');
    });
    const { damage, statistics } = await inspect(dir);
    expect(damage).toEqual([]);
    expect(statistics.collections?.slice(0, 2).map(({ name }) => name)).toEqual([
      `${'a'.repeat(1023)}…`,
      'b'.repeat(1024),
    ]);
  });

  test('operations that the records have not seen yet count', async () => {
    const dir = unpack('chroma-1-a');
    const { topic } = segmentOf(dir, 'alpha-l2');
    withDatabase(dir, (db) => {
      const queue = db.prepare(
        "INSERT INTO embeddings_queue (topic, id, operation, metadata) VALUES (?, ?, ?, '{}')",
      );
      queue.run(topic, 'new-1', 0);
      queue.run(topic, 'new-2', 2);
      queue.run(topic, 'unknown', 1);
      queue.run(topic, 'new-2', 3);
      queue.run(topic, 'alpha-l2-20', 3);
      queue.run(topic, 'alpha-l2-21', 2);
    });
    const { damage, statistics } = await inspect(dir);
    expect(damage).toEqual([]);
    expect(statistics.collections?.[0]?.records).toBe(57 + 1 - 1);
  });

  test('a store repaired by queueing every record again is sound', async () => {
    const dir = unpack('chroma-1-b');
    const { id, path, topic } = segmentOf(dir, 'alpha-l2');
    rmSync(path, { recursive: true });
    withDatabase(dir, (db) => {
      db.prepare('DELETE FROM max_seq_id WHERE segment_id = ?').run(id);
      db.prepare(
        "INSERT OR IGNORE INTO embeddings_queue (seq_id, topic, id, operation, vector, encoding, metadata) SELECT e.seq_id, ?, e.embedding_id, 2, zeroblob(32), 'FLOAT32', '{}' FROM embeddings e JOIN segments s ON s.id = e.segment_id JOIN segments v ON v.collection = s.collection WHERE v.id = ?",
      ).run(topic, id);
    });
    expect(await problemsOf(dir)).toBe('');
  });

  test('the folder of a deleted collection is no problem', async () => {
    const dir = unpack('chroma-1-a');
    const folders = readdirSync(dir).filter((name) => name !== 'chroma.sqlite3');
    expect(folders).toHaveLength(5);
    expect(await problemsOf(dir)).toBe('');
  });

  test('write-ahead logging leaves no file behind, and the log is read', async () => {
    const dir = unpack('chroma-1-a');
    const copy = join(root, String(made++));
    withDatabase(dir, (db) => {
      db.pragma('journal_mode = WAL');
      db.exec(
        "INSERT INTO embeddings_queue (topic, id, operation, metadata) SELECT topic, 'in-the-log', 0, '{}' FROM embeddings_queue LIMIT 1",
      );
      cpSync(dir, copy, { recursive: true });
      rmSync(join(copy, 'chroma.sqlite3-shm'));
    });
    expect((await inspect(dir)).damage).toEqual([]);
    expect(readdirSync(copy)).toContain('chroma.sqlite3-wal');
    expect((await inspect(copy)).statistics.records).toBe(142);
  });
});

describe('chroma.sqlite3', () => {
  test('missing is a problem', async () => {
    const dir = unpack('chroma-1-a');
    rmSync(join(dir, 'chroma.sqlite3'));
    expect(await problemsOf(dir)).toBe('chroma.sqlite3 is missing');
  });

  test('of no bytes is a problem', async () => {
    const dir = unpack('chroma-1-a');
    truncateSync(join(dir, 'chroma.sqlite3'));
    expect(await problemsOf(dir)).toBe('chroma.sqlite3 is empty');
  });

  test('without tables is a problem', async () => {
    const dir = unpack('chroma-1-a');
    rmSync(join(dir, 'chroma.sqlite3'));
    withDatabase(dir, (db) => db.pragma('user_version = 1'));
    expect(await problemsOf(dir)).toContain('chroma.sqlite3 has no table "collections"');
  });

  test('that is no database is a problem', async () => {
    const dir = unpack('chroma-1-a');
    writeFileSync(join(dir, 'chroma.sqlite3'), 'not a database at all, but long enough to be read as one');
    expect(await problemsOf(dir)).toContain('chroma.sqlite3 cannot be read');
  });

  test('with a journal of an unfinished transaction is a problem', async () => {
    const dir = unpack('chroma-1-a');
    writeFileSync(
      join(dir, 'chroma.sqlite3-journal'),
      Buffer.from('d9d505f920a163d70000000000000000', 'hex'),
    );
    expect(await problemsOf(dir)).toContain('chroma.sqlite3-journal is left over');
  });

  test('cut short is a problem', async () => {
    const dir = unpack('chroma-0.6.3');
    truncateSync(join(dir, 'chroma.sqlite3'), 700_000);
    expect(await problemsOf(dir)).toContain('chroma.sqlite3');
  });

  test('with any table page overwritten is a problem', async () => {
    const dir = unpack('chroma-1-a');
    const path = join(dir, 'chroma.sqlite3');
    const good = readFileSync(path);
    const free = withDatabase(dir, (db) => db.pragma('freelist_count', { simple: true }) as number);
    let unnoticed = 0;
    for (let page = 2; page <= good.length / 4096; page++) {
      const bad = Buffer.from(good);
      bad.fill(0xa5, (page - 1) * 4096, page * 4096);
      writeFileSync(path, bad);
      const { damage, findings } = await inspectChroma(dir, { level: 'quick' });
      if (![...damage, ...findings].some(({ message }) => message.includes('chroma.sqlite3'))) unnoticed += 1;
    }
    expect(unnoticed).toBeLessThanOrEqual(free);
  });
});

describe('a mixed copy is a problem that names the collection', () => {
  const swap = (collection: string, into: Fixture, from: Fixture, files?: readonly string[]): string => {
    const [dir, other] = [unpack(into), unpack(from)];
    const { id, path } = segmentOf(dir, collection);
    for (const file of files ?? readdirSync(path)) copyFileSync(join(other, id, file), join(path, file));
    return dir;
  };

  test.each(['alpha-l2', 'gamma-ip', 'beta-cosine'])('index of %s older than SQLite', async (collection) => {
    expect(await problemsOf(swap(collection, 'chroma-1-b', 'chroma-1-a'))).toContain(
      `Collection "${collection}": `,
    );
  });

  test.each(['alpha-l2', 'gamma-ip'])('index of %s newer than SQLite', async (collection) => {
    expect(await problemsOf(swap(collection, 'chroma-1-a', 'chroma-1-b'))).toContain(
      `Collection "${collection}": `,
    );
  });

  test('index that has seen operations SQLite has not, as Python wrote down', async () => {
    const dir = unpack('chroma-0.6.3');
    const { topic } = segmentOf(dir, 'colA');
    withDatabase(dir, (db) => {
      const ofA =
        "(SELECT s.id FROM segments s JOIN collections c ON c.id = s.collection WHERE c.name = 'colA')";
      db.prepare('DELETE FROM embeddings_queue WHERE topic = ?').run(topic);
      db.prepare(
        "INSERT INTO embeddings_queue (seq_id, topic, id, operation) VALUES (900, ?, 'none', 3)",
      ).run(topic);
      db.exec(`UPDATE max_seq_id SET seq_id = 900 WHERE segment_id IN ${ofA}`);
      db.exec(`UPDATE embeddings SET seq_id = 900 WHERE segment_id IN ${ofA}`);
    });
    expect(await problemsOf(dir)).toMatch(/holds operation \d+, newer than chroma\.sqlite3/);
  });

  test.each([
    ['chroma-1-b', 'beta-cosine', 172, 132],
    ['chroma-1-b', 'gamma-ip', 172, 132],
    ['chroma-0.6.3', 'cosB', 204, 132],
  ] as const)(
    'index of %s %s with the same ids but older vectors',
    async (fixture, collection, size, vectorAt) => {
      const dir = unpack(fixture);
      const path = join(segmentOf(dir, collection).path, 'data_level0.bin');
      const content = readFileSync(path);
      for (let at = 0; at < content.length; at += size) content.fill(0x3f, at + vectorAt, at + size - 8);
      writeFileSync(path, content);
      expect(await problemsOf(dir)).toContain('/data_level0.bin holds another vector of');
    },
  );

  test('ids on one side only are named', async () => {
    const problems = await problemsOf(swap('alpha-l2', 'chroma-1-b', 'chroma-1-a'));
    expect(problems).toMatch(
      /are not of one time: only chroma\.sqlite3 has "alpha-l2-\d+", .*, only the index has "alpha-l2-/,
    );
  });

  test.each(['header.bin', 'data_level0.bin', 'link_lists.bin', 'index_metadata.pickle'])(
    '%s of another generation',
    async (file) => {
      expect(await problemsOf(swap('alpha-l2', 'chroma-1-b', 'chroma-1-a', [file]))).toContain(
        'Collection "alpha-l2": ',
      );
      expect(await problemsOf(swap('alpha-l2', 'chroma-1-a', 'chroma-1-b', [file]))).toContain(
        'Collection "alpha-l2": ',
      );
    },
  );
});

describe.each(['chroma-1-b', 'chroma-0.6.3', 'chroma-0.5.5'] as const)(
  'damage to an index of %s is a problem that names the file',
  (fixture) => {
    const collection = fixture === 'chroma-1-b' ? 'alpha-l2' : 'colA';
    const damage = async (file: string, change: (path: string, content: Buffer) => void): Promise<string> => {
      const dir = unpack(fixture);
      const { path } = segmentOf(dir, collection);
      change(join(path, file), readFileSync(join(path, file)));
      return problemsOf(dir);
    };
    const half = (path: string, content: Buffer): void => truncateSync(path, content.length >> 1);
    const zero = (path: string, content: Buffer): void => writeFileSync(path, Buffer.alloc(content.length));

    for (const file of ['header.bin', 'data_level0.bin', 'length.bin', 'link_lists.bin']) {
      test(`${file} missing`, async () => {
        expect(await damage(file, (path) => rmSync(path))).toContain(`/${file} `);
      });
    }

    test('header half written', async () => {
      expect(await damage('header.bin', half)).toContain('/header.bin has 50 bytes instead of 100');
    });

    test('pickle short by a byte, by half, empty', async () => {
      for (const keep of [(n: number) => n - 1, (n: number) => n >> 1, () => 0]) {
        expect(
          await damage('index_metadata.pickle', (path, content) => truncateSync(path, keep(content.length))),
        ).toContain('/index_metadata.pickle ends at byte');
      }
    });

    test('pickle with something behind its end', async () => {
      expect(
        await damage('index_metadata.pickle', (path, content) =>
          writeFileSync(path, Buffer.concat([content, content])),
        ),
      ).toContain('bytes behind its end');
    });

    test('links zeroed', async () => {
      expect(await damage('link_lists.bin', zero)).toContain('/link_lists.bin');
    });

    test('elements zeroed, as a whole or one', async () => {
      expect(await damage('data_level0.bin', zero)).toContain('/data_level0.bin');
      expect(
        await damage('data_level0.bin', (path, content) => writeFileSync(path, content.fill(0, 0, 204))),
      ).toContain('/data_level0.bin');
    });

    test('a header that contradicts itself, in any field that hnswlib believes', async () => {
      for (const at of [4, 20, 28, 36, 44, 52, 56, 60, 68, 76]) {
        const enlarge = (path: string, content: Buffer): void => {
          content.writeUInt32LE(0x7fffffff, at);
          writeFileSync(path, content);
        };
        expect(await damage('header.bin', enlarge)).toContain('/header.bin contradicts itself');
      }
    });

    test('an entry point that does not have the topmost level', async () => {
      const move = (path: string, content: Buffer): void => {
        content.writeUInt32LE((content.readUInt32LE(56) + 1) % content.readUInt32LE(20), 56);
        writeFileSync(path, content);
      };
      expect(await damage('header.bin', move)).toContain('/link_lists.bin: the entry point');
    });

    test('a link on a level that its target does not have', async () => {
      const mislead = (path: string, content: Buffer): void => {
        let [low, at, element] = [-1, 0, 0];
        while (low < 0 || content.readUInt32LE(at) === 0 || content.readUInt16LE(at + 4) === 0) {
          if (content.readUInt32LE(at) === 0) low = element;
          at += 4 + content.readUInt32LE(at);
          element += 1;
        }
        content.writeUInt32LE(low, at + 8);
        writeFileSync(path, content);
      };
      expect(await damage('link_lists.bin', mislead)).toContain('which is not there');
    });

    test('a label twice', async () => {
      const twice = (path: string, content: Buffer): void => {
        const size = content.length / (fixture === 'chroma-1-b' ? 100 : 1000);
        content.copy(content, size - 8, 2 * size - 8, 2 * size);
        content[2] = 0;
        writeFileSync(path, content);
      };
      expect(await damage('data_level0.bin', twice)).toMatch(/\/data_level0\.bin has label \d+ twice/);
    });

    test('a link to an element that is not there', async () => {
      expect(
        await damage('data_level0.bin', (path, content) => writeFileSync(path, content.fill(0xff, 4, 8))),
      ).toContain('/data_level0.bin: element 0 links to element');
    });

    test('links longer or shorter than the elements', async () => {
      expect(await damage('link_lists.bin', half)).toContain('/link_lists.bin');
      expect(
        await damage('link_lists.bin', (path, content) =>
          writeFileSync(path, Buffer.concat([content, Buffer.alloc(4)])),
        ),
      ).toContain('4 bytes behind');
    });

    test('lengths short', async () => {
      expect(await damage('length.bin', (path) => truncateSync(path, 8))).toContain(
        '/length.bin has 8 bytes',
      );
    });

    test('a deleted mark on one element', async () => {
      expect(
        await damage('data_level0.bin', (path, content) => writeFileSync(path, flip(content, 2))),
      ).toContain('/data_level0.bin');
    });
  },
);

describe('without its metadata a persisted index is lost', () => {
  test.each(['chroma-1-b', 'chroma-0.6.3'] as const)('pickle or folder missing in %s', async (fixture) => {
    for (const remove of ['index_metadata.pickle', '']) {
      const dir = unpack(fixture);
      const { id, path } = segmentOf(dir, fixture === 'chroma-1-b' ? 'alpha-l2' : 'colA');
      rmSync(join(path, remove), { recursive: true });
      expect(await problemsOf(dir)).toContain(
        `${id}/index_metadata.pickle is missing, but the index was written`,
      );
    }
  });
});

describe('the queue must hold what the index does not', () => {
  test.each(['chroma-1-a', 'chroma-0.5.23', 'chroma-0.6.3'] as const)(
    'the last operation on any id of %s that is lost above w is noticed',
    async (fixture) => {
      const source = unpack(fixture);
      const { topic, indexedUpTo } = segmentOf(source, fixture === 'chroma-1-a' ? 'alpha-l2' : 'colA');
      const pending = withDatabase(source, (db) =>
        db
          .prepare('SELECT max(seq_id) FROM embeddings_queue WHERE topic = ? AND seq_id > ? GROUP BY id')
          .pluck()
          .all(topic, indexedUpTo),
      ) as number[];
      expect(pending.length).toBeGreaterThan(5);
      for (const seqId of pending.filter((_, i) => i % Math.ceil(pending.length / 12) === 0)) {
        const dir = join(root, String(made++));
        cpSync(source, dir, { recursive: true });
        withDatabase(dir, (db) => db.prepare('DELETE FROM embeddings_queue WHERE seq_id = ?').run(seqId));
        const what = `operation ${seqId}`;
        expect([what, (await inspectChroma(dir, { level: 'quick' })).damage.length > 0]).toEqual([
          what,
          true,
        ]);
      }
    },
  );

  test('an emptied queue, whose numbers would start again, is a problem', async () => {
    const dir = unpack('chroma-1-b');
    withDatabase(dir, (db) => db.exec('DELETE FROM embeddings_queue'));
    expect(await problemsOf(dir)).toContain(
      'Collection "alpha-l2": chroma.sqlite3: the queue ends at operation 0',
    );
  });

  test('an index of other dimensions than its collection is a problem', async () => {
    const dir = unpack('chroma-1-b');
    withDatabase(dir, (db) => db.exec('UPDATE collections SET dimension = 9 WHERE dimension = 8'));
    expect(await problemsOf(dir)).toContain('/header.bin has 8 dimensions instead of 9');
  });

  test('a lost record row is noticed by name', async () => {
    const dir = unpack('chroma-1-b');
    withDatabase(dir, (db) =>
      db.exec("PRAGMA foreign_keys = OFF; DELETE FROM embeddings WHERE embedding_id = 'alpha-l2-30'"),
    );
    expect(await problemsOf(dir)).toContain('only the index has "alpha-l2-30"');
  });
});

function flip(content: Buffer, at: number): Buffer {
  content[at] = (content[at] as number) ^ 1;
  return content;
}
