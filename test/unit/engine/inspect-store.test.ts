import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, it } from 'vitest';
import { inspectLines } from '../../../src/cli/text/inspect-lines.ts';
import type { InspectReport } from '../../../src/engine/reading/inspect-store.ts';
import { createAgent } from '../../../src/in-process/create-agent.ts';
import { fingerprintOf, unpackFixture } from '../../support/fixtures.ts';
import type { Fixture } from '../../support/fixtures.ts';
import { fastTmp } from '../../support/host.ts';

const root = mkdtempSync(join(fastTmp, 'inspect-store-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;
const unpack = (name: Fixture): string => unpackFixture(name, join(root, String(made++)));

async function inspect(store: string): Promise<InspectReport> {
  const before = fingerprintOf(store);
  const report = await createAgent({ store, remote: '' }, { findStoreUsers: async () => [] }).inspect();
  expect(fingerprintOf(store)).toEqual(before);
  return report;
}

describe('inspect', () => {
  it('says what is in a store of the newest server', async () => {
    const report = await inspect(unpack('chroma-1-b'));
    expect(report.schema).toEqual({
      migrations: { embeddings_queue: 2, metadb: 6, sysdb: 10 },
      opensWith: '1.5',
    });
    expect(report.database).toMatchObject({ bytes: 327_680, pages: 80, freePages: 4, journalMode: 'delete' });
    expect(report.database.tables[0]).toEqual({ name: 'embedding_metadata', bytes: 73_728 });
    expect(report.database.fragmentation).toBeCloseTo(0.6, 1);
    expect(report.databases).toEqual([
      { tenant: 'default_tenant', name: 'default_database', collections: 5 },
    ]);
    expect(report.queue).toEqual({ operations: 18, first: 139, last: 240 });
    expect(report.fullText).toEqual({ texts: 201, indexed: 201, parts: 2 });
    expect(report.orphans).toEqual([{ path: 'af879381-8b2e-44f4-8049-45db55dc3143', bytes: 19_412 }]);
    const alpha = report.collections.find(({ name }) => name === 'alpha-l2');
    expect(alpha).toMatchObject({
      records: 91,
      dimension: 8,
      space: 'l2',
      pending: 3,
      parameters: { max_neighbors: 16, ef_construction: 100, sync_threshold: 10 },
      metadataSegment: { appliedUpTo: 191 },
      vectorSegment: { appliedUpTo: 188, elements: 95 },
    });
    const empty = report.collections.find(({ name }) => name === 'empty-one');
    expect(empty).toMatchObject({
      records: 0,
      dimension: null,
      vectorSegment: { bytes: null, elements: null },
    });
    const lines = inspectLines(report).join('\n');
    expect(lines).toContain('Chroma 1.5 and later open it');
    expect(lines).toContain('18 operations, 139 to 240');
    expect(lines).toMatch(/beta-cosine +45 +8 +cosine +46 elements, M 16 .* 212 \/ 212 +0 /);
  });

  it('reads old stores, whose indexes say only in their pickle how far they go', async () => {
    const report = await inspect(unpack('chroma-0.5.5'));
    expect(report.schema.opensWith).toBe('0.5.0');
    const [colA] = report.collections;
    expect(colA).toMatchObject({ name: 'colA', records: 1330, pending: 380 });
    expect(colA?.vectorSegment?.appliedUpTo).toBe(1000);
    expect((await inspect(unpack('chroma-0.4.24'))).schema.opensWith).toBe('0.4');
    expect((await inspect(unpack('chroma-0.6.3'))).schema.opensWith).toBe('0.5.6');
  });

  it('goes on where an index is broken, which check is there to say', async () => {
    const dir = unpack('chroma-1-b');
    writeFileSync(join(dir, '5c075afb-fd32-4e84-8ba4-a78c1889ebc8', 'header.bin'), 'broken');
    const alpha = (await inspect(dir)).collections.find(({ name }) => name === 'alpha-l2');
    expect(alpha?.vectorSegment?.elements).toBeNull();
  });

  it('refuses a database that it cannot read, a newer schema, and other kinds of stores', async () => {
    const broken = unpack('chroma-1-b');
    writeFileSync(join(broken, 'chroma.sqlite3'), 'x'.repeat(5000));
    await expect(inspect(broken)).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    const future = unpack('chroma-1-b');
    const db = new Database(join(future, 'chroma.sqlite3'));
    db.exec("INSERT INTO migrations VALUES ('futuredb', 1, 'x', '', '')");
    db.close();
    await expect(inspect(future)).rejects.toMatchObject({ code: 'TOO_NEW' });
    const plain = join(root, 'plain');
    mkdirSync(plain);
    writeFileSync(join(plain, 'a.txt'), 'a');
    await expect(inspect(plain)).rejects.toThrow(/of the kind "files"/);
  });
});
