import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { importRecords } from '../../../src/engine/records/import-records.ts';
import { openStoreAccess } from '../../../src/in-process/store-access.ts';
import { sendBatch } from '../../../src/engine/records/send-batch.ts';
import type { NamedRecord, Sending } from '../../../src/engine/records/send-batch.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import type { CollectionDescription, RecordTarget, SourceRecord } from '../../../src/stores/record-source.ts';

const record = (id: string, document: string, embedding: Float32Array | null = new Float32Array([1, 2])) => ({
  id,
  embedding,
  document,
  uri: null,
  metadata: null,
});
const named = (each: SourceRecord): NamedRecord => ({ record: each, where: `line of ${each.id}` });

const collection: CollectionDescription = {
  id: 'c',
  name: 'docs',
  tenant: 'default_tenant',
  database: 'default_database',
  dimension: 2,
  space: 'l2',
  metadata: null,
  configuration: null,
  schema: null,
};

/** A server in memory. It refuses documents that say so, and keeps others in another form. */
let records: Map<string, SourceRecord>;
const target: RecordTarget = {
  url: 'memory:',
  maxBatch: async () => 10,
  find: async () => collection,
  create: async () => collection,
  count: async () => records.size,
  byIds: async (_, ids) => ids.flatMap((id) => records.get(id) ?? []),
  add: async (_, added) => {
    if (added.some(({ document }) => document === 'refuse me'))
      throw new SyncAgentError('USAGE', 'no such text');
    for (const each of added) {
      if (records.has(each.id)) continue;
      records.set(each.id, each.document === 'lose me' ? { ...each, document: null } : each);
    }
  },
  remove: async (_, ids) => ids.forEach((id) => records.delete(id)),
};
beforeEach(() => {
  records = new Map([['old', record('old', 'as it was')]]);
});

const send = (batch: readonly SourceRecord[], options: Partial<Sending> = {}) =>
  sendBatch(
    { target, collection, isFresh: false, overwrite: false, keepGoing: false, signal: undefined, ...options },
    batch.map(named),
  );
const documents = (): Record<string, string | null> =>
  Object.fromEntries([...records].map(([id, { document }]) => [id, document]));

describe('an export that names files outside of itself', () => {
  let dir = '';
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'hostile-export-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('is refused, and nothing of it is sent', async () => {
    const path = join(dir, 'export');
    mkdirSync(path);
    writeFileSync(
      join(dir, 'secret.jsonl'),
      '{"id":"x","embedding":[1,2],"document":"secret","metadata":null}\n',
    );
    const { id, ...described } = collection;
    const text = JSON.stringify({
      format: 'sync-agent-records/1',
      from: 'elsewhere',
      collections: [{ ...described, id, file: '../secret.jsonl', records: 1 }],
    });
    writeFileSync(join(path, 'collections.json'), text);
    const imported = openStoreAccess({ store: join(dir, 'store'), remote: '' }, {}).read(
      (context) => importRecords(context, [path], target, {}),
      undefined,
    );
    await expect(imported).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('../secret.jsonl') as string,
    });
    expect(documents()).toEqual({ old: 'as it was' });
  });
});

describe('records that are sent', () => {
  it('are added, and those that are there and equal are left alone', async () => {
    expect(await send([record('old', 'as it was'), record('new', 'text')])).toMatchObject({
      added: 1,
      equal: 1,
    });
    expect(documents()).toEqual({ old: 'as it was', new: 'text' });
  });

  it('do not replace others of their id unasked', async () => {
    await expect(send([record('new', 'text'), record('old', 'changed')])).rejects.toMatchObject({
      code: 'REFUSED',
    });
    expect(documents()).toEqual({ old: 'as it was' });
    expect(await send([record('old', 'changed')], { keepGoing: true })).toMatchObject({
      problems: [{ id: 'old' }],
    });
    expect(documents()).toEqual({ old: 'as it was' });
  });

  it('replace others of their id if that is asked for', async () => {
    expect(await send([record('old', 'changed')], { overwrite: true })).toMatchObject({
      overwritten: 1,
      added: 0,
    });
    expect(documents()).toEqual({ old: 'changed' });
  });

  it.each([
    ['and the work ends', false],
    ['and the work goes on', true],
  ])('do not cost what is there when the server refuses them, %s', async (_, keepGoing) => {
    const sent = send([record('old', 'refuse me'), record('new', 'text')], { overwrite: true, keepGoing });
    if (keepGoing) expect(await sent).toMatchObject({ added: 1, problems: [{ id: 'old' }] });
    else await expect(sent).rejects.toMatchObject({ code: 'USAGE' });
    expect(documents()).toEqual({ old: 'as it was', ...(keepGoing ? { new: 'text' } : {}) });
  });

  it('are read back: what the server keeps otherwise is an error', async () => {
    await expect(send([record('new', 'lose me')])).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
  });

  it('need an embedding', async () => {
    await expect(send([record('new', 'text', null)])).rejects.toMatchObject({ code: 'USAGE' });
    expect(await send([record('new', 'text', null)], { keepGoing: true })).toMatchObject({
      added: 0,
      problems: [{ id: 'new' }],
    });
  });
});
