import { cp, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agent } from '../../../src/api/agent.ts';
import { createAgent } from '../../../src/in-process/create-agent.ts';
import { repairStore } from '../../../src/engine/mending/repair-store.ts';
import { openStoreAccess } from '../../../src/in-process/store-access.ts';
import type { StoreMending } from '../../../src/stores/mending.ts';
import { inspectChroma } from '../../../src/stores/chroma/inspect-chroma.ts';
import { destroyPage } from '../../support/damage-database.ts';
import { fingerprintOf, unpackFixture } from '../../support/fixtures.ts';

let root: string;
let store: string;
let database: string;
let agent: Agent;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-repair-'));
  store = unpackFixture('chroma-1-a', join(root, 'store'));
  database = join(store, 'chroma.sqlite3');
  agent = createAgent({ store, remote: `file://${join(root, 'remote')}` });
});
afterEach(async () => {
  await agent.close();
  await rm(root, { recursive: true, force: true });
});

const records = 141;
const orphan = '0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9';

function run(sql: string): void {
  const db = new Database(database);
  db.pragma('foreign_keys = off');
  db.unsafeMode(true);
  db.exec(sql);
  db.close();
}

/** The folder of a collection's index. */
function folderOf(collection: string): string {
  const db = new Database(database, { readonly: true });
  const segment = db.prepare(
    "SELECT s.id FROM segments s JOIN collections c ON c.id = s.collection WHERE s.scope = 'VECTOR' AND c.name = ?",
  );
  const folder = String(segment.pluck().get(collection));
  db.close();
  return folder;
}

describe('a repair', () => {
  it('that loses a record without saying so is not put in the place of the store', async () => {
    destroyPage(database, 'embedding_fulltext_search_data');
    const before = fingerprintOf(store);
    const forgetful = (mending: StoreMending): StoreMending => ({
      ...mending,
      repair: async (dir, step, options) => {
        const done = await mending.repair(dir, step, options);
        const db = new Database(join(dir, 'chroma.sqlite3'));
        db.pragma('foreign_keys = off');
        db.exec('DELETE FROM embeddings WHERE id = (SELECT max(id) FROM embeddings)');
        db.close();
        return done;
      },
    });
    const access = openStoreAccess({ store, remote: '' }, {});
    const repaired = access.write(
      'repair',
      async (context) => {
        const adapter = await context.detectAdapter(store);
        const { mending } = adapter;
        const careless = mending === undefined ? adapter : { ...adapter, mending: forgetful(mending) };
        return repairStore({ ...context, detectAdapter: async () => careless });
      },
      undefined,
    );
    await expect(repaired).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('instead of 141') as string,
    });
    expect(fingerprintOf(store)).toEqual(before);
  });

  it('finds nothing to do in a sound store, and does not touch it', async () => {
    const before = fingerprintOf(store);
    expect(await agent.repair()).toMatchObject({ type: 'nothing-to-do', isSound: true, steps: [], left: [] });
    expect(fingerprintOf(store)).toEqual(before);
    expect(await agent.rollbackCopies()).toEqual([]);
  });

  it.each(['embedding_fulltext_search_data', 'sqlite_autoindex_embeddings_1'])(
    'mends a destroyed page of %s, and the next backup is a child of the snapshot before',
    async (object) => {
      const first = await agent.backup();
      destroyPage(database, object);
      const { findings } = await inspectChroma(store, { level: 'full' });
      expect(findings[0]?.remedy).toContain('"sync-agent repair"');
      const planned = await agent.repair({ dryRun: true });
      expect(planned).toMatchObject({
        type: 'planned',
        isSound: true,
        steps: [{ type: 'database', outcome: 'planned' }],
      });
      const result = await agent.repair();
      expect(result).toMatchObject({
        type: 'repaired',
        isSound: true,
        steps: [{ type: 'database', outcome: 'done' }],
        findings: [],
        left: [],
        records,
      });
      expect((await agent.rollbackCopies()).map(({ name }) => name)).toEqual([result.rollbackCopy]);
      expect(await agent.repair()).toMatchObject({ type: 'nothing-to-do', isSound: true });
      expect(await agent.backup()).toMatchObject({
        type: 'committed',
        parent: first.type === 'committed' ? first.id : '',
        findings: [],
        diverged: [],
      });
    },
  );

  it('mends a full-text index that lacks a text', async () => {
    run(
      'DELETE FROM embedding_fulltext_search_docsize; DELETE FROM embedding_fulltext_search_data WHERE id > 10',
    );
    expect(await agent.repair()).toMatchObject({ type: 'repaired', isSound: true, findings: [] });
    const db = new Database(database, { readonly: true });
    const document = String(
      db
        .prepare("SELECT string_value FROM embedding_metadata WHERE key = 'chroma:document' ORDER BY id")
        .pluck()
        .get(),
    );
    const found = db.prepare(
      'SELECT count(*) FROM embedding_fulltext_search WHERE embedding_fulltext_search MATCH ?',
    );
    expect(found.pluck().get(`"${document.replaceAll('"', '""')}"`)).toBeGreaterThan(0);
    db.close();
  });

  it('changes no byte when it only plans', async () => {
    destroyPage(database, 'embedding_fulltext_search_data');
    const before = fingerprintOf(store);
    await agent.repair({ dryRun: true, orphans: true, acceptLoss: true });
    expect(fingerprintOf(store)).toEqual(before);
  });

  it.each(['repair', 'maintain'] as const)(
    'makes no file beside a database in WAL mode, even for a moment, when it only plans: %s',
    async (call) => {
      destroyPage(database, 'embedding_fulltext_search_data');
      run('PRAGMA journal_mode = wal');
      expect(await readdir(store)).not.toContain('chroma.sqlite3-wal');
      const before = fingerprintOf(store);
      const { ctimeNs, mtimeNs } = await stat(store, { bigint: true });
      const result = await agent[call]({ dryRun: true });
      expect(result.type).toBe('planned');
      expect(fingerprintOf(store)).toEqual(before);
      expect(await stat(store, { bigint: true })).toMatchObject({ ctimeNs, mtimeNs });
      expect(await readdir(join(root, '.store.sync-agent', 'staging'))).toEqual([]);
    },
  );

  it('mends a database in WAL mode, which stays in it', async () => {
    destroyPage(database, 'embedding_fulltext_search_data');
    run('PRAGMA journal_mode = wal');
    expect(await agent.repair()).toMatchObject({ type: 'repaired', isSound: true, records });
    const db = new Database(database, { readonly: true });
    expect(db.pragma('journal_mode', { simple: true })).toBe('wal');
    db.close();
  });

  it('leaves a table that lost rows alone, and names what saves the rest', async () => {
    destroyPage(database, 'embedding_fulltext_search_data');
    destroyPage(database, 'embeddings');
    const before = fingerprintOf(store);
    const result = await agent.repair();
    expect(result).toMatchObject({ type: 'nothing-to-do', isSound: false, steps: [] });
    expect(result.left.map(({ remedy }) => remedy)).toContainEqual(
      expect.stringContaining('export --salvage'),
    );
    expect(fingerprintOf(store)).toEqual(before);
  });

  it('leaves a store alone that has no database any more', async () => {
    await rm(database);
    expect(await agent.repair()).toMatchObject({ type: 'nothing-to-do', isSound: false, steps: [] });
  });

  it('takes no vector from an index for a record whose last operation is nowhere any more', async () => {
    // An update with a new vector, after the index was persisted. The index has the vector from before.
    run("DELETE FROM embeddings_queue WHERE id = 'alpha-l2-3' AND operation = 1");
    const { withheld } = await agent.repair({ dryRun: true });
    expect(withheld.flatMap(({ losses }) => losses)).toEqual([
      { collection: 'alpha-l2', id: 'alpha-l2-3', missing: 'vector' },
    ]);
  });

  it('takes the order of records for a lost pickle only where nothing was deleted since, and a vector proves it', async () => {
    for (const name of ['beta-cosine', 'gamma-ip'])
      await rm(join(store, folderOf(name), 'index_metadata.pickle'));
    const found = await agent.repair({ dryRun: true });
    expect(found.steps).toMatchObject([{ where: 'collection "gamma-ip"', losses: [] }]);
    expect(found.withheld).toMatchObject([{ where: 'collection "beta-cosine"' }, { type: 'orphans' }]);
    // Two rows in the other order, one of them the one that is proof.
    run(`
      UPDATE embeddings SET id = -id WHERE embedding_id IN ('gamma-ip-26', 'gamma-ip-27');
      UPDATE embeddings SET id = -(SELECT min(id) + max(id) FROM embeddings WHERE id < 0) + id WHERE id < 0;
    `);
    const disproved = await agent.repair({ dryRun: true });
    expect(disproved.steps).toEqual([]);
    expect(disproved.withheld.map(({ where }) => where)).toContain('collection "gamma-ip"');
  });

  it('needs to be told to take vectors from an index of another time, of which some may be old', async () => {
    const later = unpackFixture('chroma-1-b', join(root, 'later'));
    await rm(store, { recursive: true });
    await cp(later, store, { recursive: true });
    const earlier = unpackFixture('chroma-1-a', join(root, 'earlier'));
    const folder = folderOf('alpha-l2');
    await cp(join(earlier, folder), join(store, folder), { recursive: true });
    const refused = await agent.repair();
    expect(refused).toMatchObject({
      type: 'nothing-to-do',
      isSound: false,
      withheld: [{ type: 'vector-index', needs: 'accept-loss' }, { type: 'orphans' }],
    });
    expect(refused.withheld[0]?.message).toContain('another time');
    const before = await inspectChroma(store, { level: 'quick' });
    const { type, isSound, steps, records: left } = await agent.repair({ acceptLoss: true });
    expect({ type, isSound }).toEqual({ type: 'repaired', isSound: true });
    const lost = steps.flatMap(({ losses }) => losses);
    expect(lost.length).toBeGreaterThan(0);
    expect(left).toBe(before.statistics.records - lost.length);
  });

  it('continues a queue that somebody emptied, after which Chroma would drop writes', async () => {
    run('DELETE FROM embeddings_queue WHERE seq_id > 140');
    const { steps, type } = await agent.repair();
    expect({ type, steps }).toMatchObject({ type: 'repaired' });
    expect(steps.filter((step) => step.type === 'queue').length).toBeGreaterThan(0);
    const db = new Database(database, { readonly: true });
    const last = db.prepare(
      'SELECT max(seq_id) >= (SELECT max(seq_id) FROM max_seq_id) FROM embeddings_queue',
    );
    expect(last.pluck().get()).toBe(1);
    db.close();
  });

  it('needs to be told to remove what belongs to no collection', async () => {
    await cp(join(store, '5c075afb-fd32-4e84-8ba4-a78c1889ebc8'), join(store, orphan), { recursive: true });
    await mkdir(join(store, orphan.replace('0f', '1f')));
    await writeFile(join(store, orphan.replace('0f', '1f'), 'notes.txt'), 'of somebody else');
    run(`
      INSERT INTO segments VALUES ('s1', 'x', 'METADATA', 'no-collection');
      INSERT INTO max_seq_id VALUES ('s1', 5);
      INSERT INTO segment_metadata (segment_id, key) VALUES ('s1', 'k');
      INSERT INTO collection_metadata (collection_id, key) VALUES ('no-collection', 'k');
      INSERT INTO embeddings (id, segment_id, embedding_id, seq_id) VALUES (90001, 's1', 'x', 1);
      INSERT INTO embedding_metadata (id, key, string_value) VALUES (90001, 'chroma:document', 'an orphaned text');
      INSERT INTO embedding_metadata_array (id, key) VALUES (90001, 'k');
      INSERT INTO embedding_fulltext_search (rowid, string_value) VALUES (90001, 'an orphaned text');
      INSERT INTO embeddings_queue (seq_id, operation, topic, id) VALUES (9001, 3, 'persistent://default/default/no-collection', 'x'), (9002, 3, 'persistent://default/default/no-collection', 'y');
    `);
    const withheld = await agent.repair();
    expect(withheld).toMatchObject({
      type: 'nothing-to-do',
      withheld: [{ type: 'orphans', needs: 'orphans' }],
    });
    const result = await agent.repair({ orphans: true });
    expect(result).toMatchObject({ type: 'repaired', isSound: true, steps: [{ type: 'orphans' }], records });
    const db = new Database(database, { readonly: true });
    for (const [table, condition] of [
      ['segments', "id = 's1'"],
      ['max_seq_id', "segment_id = 's1'"],
      ['segment_metadata', "segment_id = 's1'"],
      ['collection_metadata', "collection_id = 'no-collection'"],
      ['embeddings', "segment_id = 's1'"],
      ['embedding_metadata', 'id = 90001'],
      ['embedding_metadata_array', 'id = 90001'],
      ['embedding_fulltext_search', "string_value LIKE '%orphaned%'"],
      ['embeddings_queue', 'seq_id = 9001'],
    ] as const)
      expect({
        table,
        rows: db.prepare(`SELECT count(*) FROM ${table} WHERE ${condition}`).pluck().get(),
      }).toEqual({ table, rows: 0 });
    // Chroma counts on from the last number.
    expect(db.prepare('SELECT max(seq_id) FROM embeddings_queue').pluck().get()).toBe(9002);
    expect(db.prepare('SELECT count(*) FROM embeddings').pluck().get()).toBe(records);
    db.close();
    const paths = Object.keys(fingerprintOf(store));
    expect(paths).not.toContain(orphan);
    expect(paths).toContain(`${orphan.replace('0f', '1f')}/notes.txt`);
    expect(await agent.repair({ orphans: true })).toMatchObject({ type: 'nothing-to-do' });
  });

  it.each(['repair', 'maintain'] as const)(
    'is TOO_NEW for a store of a version that nobody here knows: %s',
    async (call) => {
      run(
        "INSERT INTO migrations SELECT dir, 99, filename, sql, hash FROM migrations WHERE dir = 'metadb' LIMIT 1",
      );
      await expect(agent[call]({ dryRun: true })).rejects.toMatchObject({ code: 'TOO_NEW' });
    },
  );

  it('makes no request, and needs no remote', async () => {
    destroyPage(database, 'embedding_fulltext_search_data');
    const alone = createAgent({ store, remote: '' });
    expect(await alone.repair()).toMatchObject({ type: 'repaired', isSound: true });
    expect(alone.requests()).toBe(0);
    await alone.close();
  });

  it('is USAGE for a kind of store that nobody can mend', async () => {
    await rm(store, { recursive: true });
    await mkdir(store);
    await writeFile(join(store, 'a.txt'), 'a');
    await expect(agent.repair()).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('"files"') as string,
    });
  });
});

describe('maintenance', () => {
  it('makes a snapshot, gains space, and keeps every record and the lineage', async () => {
    run(`
      CREATE TABLE filler (x); INSERT INTO filler VALUES (zeroblob(400000)); DROP TABLE filler;
    `);
    const planned = await agent.maintain({ dryRun: true });
    expect(planned).toMatchObject({ type: 'planned', journalMode: 'delete' });
    expect(planned.type === 'planned' && planned.freeBytes).toBeGreaterThan(390_000);
    expect(await agent.list()).toEqual([]);

    const result = await agent.maintain({ journalMode: 'wal' });
    expect(result).toMatchObject({ type: 'maintained', journalMode: 'wal', records });
    if (result.type !== 'maintained') return;
    expect(result.bytesBefore - result.bytesAfter).toBeGreaterThan(380_000);
    const [snapshot] = await agent.list();
    expect(snapshot?.id).toBe(result.snapshot);
    expect(await agent.backup()).toMatchObject({
      type: 'committed',
      parent: result.snapshot,
      records,
      diverged: [],
    });
    // Now it equals a snapshot: none is made.
    expect(await agent.maintain({ journalMode: 'delete' })).toMatchObject({ journalMode: 'delete' });
    expect(await agent.list()).toHaveLength(2);
  });

  it('purges what both segments of a collection have applied, and never the last row', async () => {
    // Collection 25e5… has applied up to 149 and 56: what is below 56 is not needed. Of the others the index has no number, or less.
    run(`
      INSERT INTO embeddings_queue (seq_id, operation, topic, id, metadata) VALUES
        (50, 3, 'persistent://default/default/25e5e77d-8643-4725-b22a-ed2e9b1b623c', 'x', '{}'),
        (55, 3, 'persistent://default/default/25e5e77d-8643-4725-b22a-ed2e9b1b623c', 'x', '{}'),
        (1, 3, 'persistent://default/default/b69a0e64-acbb-4a09-8ff6-657fa0776157', 'x', '{}');
    `);
    expect(await agent.maintain({ dryRun: true })).toMatchObject({ purgeable: { operations: 2 } });
    expect(await agent.maintain()).toMatchObject({ type: 'maintained', purgedOperations: 2 });
    const db = new Database(database, { readonly: true });
    expect(db.prepare('SELECT seq_id FROM embeddings_queue WHERE seq_id < 60').pluck().all()).toEqual([
      1, 56, 57, 58, 59,
    ]);
    db.close();
  });

  it('does not go on without a snapshot', async () => {
    destroyPage(database, 'embeddings');
    const before = fingerprintOf(store);
    await expect(agent.maintain()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(fingerprintOf(store)).toEqual(before);
  });
});
