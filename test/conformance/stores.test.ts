import { mkdir, readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { chromaKind } from '../../src/stores/chroma/chroma-kind.ts';
import { filesKind } from '../../src/stores/files/files-kind.ts';
import { sqliteKind } from '../../src/stores/sqlite/sqlite-kind.ts';
import { unpackFixture } from '../support/fixtures.ts';
import { describeStore } from './store-conformance.ts';

let written = 0;

describeStore({
  kind: filesKind,
  make: async (dir) => {
    await mkdir(join(dir, 'deep'));
    for (const name of ['a', 'b', 'deep/c']) await writeFile(join(dir, name), name.repeat(1000));
    return 3;
  },
  write: (dir) => writeFile(join(dir, `new-${(written += 1)}`), 'x'),
  // Whatever its files hold, they mean nothing to us.
  damages: {},
});

describeStore({
  kind: sqliteKind,
  make: async (dir) => {
    const db = new Database(join(dir, 'app.db'));
    db.exec('CREATE TABLE t (x); CREATE INDEX i ON t (x)');
    const insert = db.prepare('INSERT INTO t VALUES (?)');
    db.transaction(() => {
      for (let n = 0; n < 5000; n += 1) insert.run(`record ${n}`);
    })();
    db.close();
    return 5000;
  },
  damages: {
    'the file is cut': (dir) => truncate(join(dir, 'app.db'), 20_000),
    'the file is empty': (dir) => writeFile(join(dir, 'app.db'), ''),
    'the header is gone': (dir) => writeFile(join(dir, 'app.db'), Buffer.alloc(20_000)),
  },
});

describeStore({
  kind: chromaKind,
  make: async (dir) => {
    unpackFixture('chroma-1-a', dir);
    const db = new Database(join(dir, 'chroma.sqlite3'), { readonly: true });
    const count = Number(db.prepare('SELECT count(*) FROM embeddings').pluck().get());
    db.close();
    return count;
  },
  damages: {
    'the database is cut': (dir) => truncate(join(dir, 'chroma.sqlite3'), 50_000),
    'a vector index is cut': async (dir) => {
      const index = (await readdir(dir, { withFileTypes: true })).find((entry) => entry.isDirectory());
      await truncate(join(dir, index?.name ?? '', 'data_level0.bin'), 100);
    },
  },
});
