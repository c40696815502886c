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
  removesKeys: true,
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
  upsert: async (_, changed) => {
    if (changed.some(({ document }) => document === 'refuse me'))
      throw new SyncAgentError('USAGE', 'no such text');
    for (const each of changed) records.set(each.id, each);
  },
  remove: async (_, ids) => ids.forEach((id) => records.delete(id)),
};
beforeEach(() => {
  records = new Map([['old', record('old', 'as it was')]]);
});

const send = (batch: readonly SourceRecord[], options: Partial<Sending> = {}) =>
  sendBatch(
    {
      target,
      collection,
      isFresh: false,
      overwrite: false,
      keepGoing: false,
      signal: undefined,
      begun: new Map(),
      verb: 'import',
      ...options,
    },
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

  it('cost no document that they lose when the server refuses them', async () => {
    const withUri = { ...record('old', 'as it was'), uri: 'file:///a' };
    records.set('old', withUri);
    const sent = send([record('old', 'refuse me')], { overwrite: true });
    await expect(sent).rejects.toMatchObject({ code: 'USAGE' });
    expect(records.get('old')).toEqual(withUri);
  });

  it('are changed in place: keys that they lose are removed, and nothing is deleted meanwhile', async () => {
    records.set('old', { ...record('old', 'text'), metadata: '{"a":1,"b":5.0,"c":[1]}' });
    const upserted: (readonly SourceRecord[])[] = [];
    const changing: RecordTarget = {
      ...target,
      remove: async () => expect.unreachable('nothing may be deleted'),
      upsert: async (place, changed) => {
        upserted.push(changed);
        // As the server keeps it.
        await target.upsert(
          place,
          changed.map((each) => ({ ...each, metadata: '{"b":5.5,"c":[2]}' })),
        );
      },
    };
    const now = { ...record('old', 'text'), metadata: '{"b":5.5,"c":[2]}' };
    expect(await send([now], { target: changing, overwrite: true })).toMatchObject({ overwritten: 1 });
    expect(upserted.flat().map(({ metadata }) => metadata)).toEqual(['{"b":5.5,"c":[2],"a":null}']);
  });

  it('are deleted first only if they lose what an update cannot take away', async () => {
    records.set('old', { ...record('old', 'text'), uri: 'file:///a' });
    const bare = { ...record('old', ''), document: null };
    const steps: string[] = [];
    const told: RecordTarget = {
      ...target,
      add: async (...each) => (steps.push('add'), target.add(...each)),
      upsert: async (...each) => (steps.push('upsert'), target.upsert(...each)),
      remove: async (...each) => (steps.push('remove'), target.remove(...each)),
    };
    expect(await send([bare], { target: told, overwrite: true })).toMatchObject({ overwritten: 1 });
    expect(steps.splice(0)).toEqual(['remove', 'add']);
    expect(records.get('old')).toEqual(bare);
    for (const [removesKeys, expected] of [
      [true, ['upsert']],
      [false, ['remove', 'add']],
    ] as const) {
      records.set('old', { ...bare, metadata: '{"a":1}' });
      await send([bare], { target: { ...told, removesKeys }, overwrite: true }).catch(() => undefined);
      expect(steps.splice(0)).toEqual(expected);
    }
  });

  it('count as what they were before an attempt that was not answered', async () => {
    const [text, changed, replaced] = [
      record('new', 'text'),
      record('old', 'changed'),
      record('gone', 'text'),
    ];
    records.set('new', text);
    records.set('old', changed);
    const begun = new Map([
      ['new', { record: text, isNew: true }],
      ['old', { record: changed, isNew: false }],
      // It was deleted to be replaced, and is no new one for that.
      ['gone', { record: replaced, isNew: false }],
    ]);
    expect(await send([text, changed, replaced], { begun, overwrite: true })).toMatchObject({
      added: 1,
      equal: 0,
      overwritten: 2,
    });
    expect(begun.get('gone')?.isNew).toBe(false);
  });

  it.each([
    ['fails at the new one', 'REMOTE_UNREACHABLE', true],
    ['is interrupted', 'INTERRUPTED', true],
    ['is gone', 'REMOTE_UNREACHABLE', false],
  ] as const)('put back what was deleted for them if the server %s', async (_, code, isBack) => {
    const old = { ...record('old', 'as it was'), uri: 'file:///a' };
    records.set('old', old);
    let adds = 0;
    const failing: RecordTarget = {
      ...target,
      add: async (...each) => {
        adds += 1;
        if (adds === 1) throw new SyncAgentError(code, 'no', { retryable: !isBack });
        return target.add(...each);
      },
    };
    const sent = send([record('old', 'text')], { target: failing, overwrite: true });
    await expect(sent).rejects.toMatchObject({ code });
    expect(records.get('old')).toEqual(isBack ? old : undefined);
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
