import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { queueLog } from '../../../src/stores/chroma/log/queue-log.ts';
import type { LogFollower, LogReading } from '../../../src/stores/operation-log.ts';
import { fingerprintOf } from '../../support/fixtures.ts';
import type { Fixture } from '../../support/fixtures.ts';
import { fastTmp } from '../../support/host.ts';
import { QueueStore, entries, followFrom, rowsOf } from '../../support/queue-store.ts';

let store: QueueStore;
let follower: LogFollower;
let kept: string;
beforeEach(() => {
  store = new QueueStore();
  follower = followFrom(store);
  // Every write to it is the newest of its collection, so a purge leaves one.
  [kept = ''] = store.collections();
});
afterEach(() => {
  follower.close();
  store.remove();
});

const read = (): LogReading | undefined => follower.read(1 << 20);
const numbers = (reading: LogReading | undefined): readonly number[] =>
  entries(reading).operations.map(({ number }) => number);

describe.each<Fixture>([
  'chroma-0.4.24',
  'chroma-0.5.5',
  'chroma-0.5.23',
  'chroma-0.6.3',
  'chroma-1-a',
  'chroma-1-b',
])('a store of %s', (fixture) => {
  it('is followed, changes no byte by it, and comes to the same position elsewhere', async () => {
    const old = new QueueStore({ fixture });
    const image = await old.copy();
    const reader = followFrom(old);
    const before = fingerprintOf(old.dir);
    expect(reader.read(1 << 20)).toBeUndefined();
    expect(reader.hasChanged()).toBe(false);
    expect(fingerprintOf(old.dir)).toEqual(before);
    const { number } = reader.position();
    const made = old.create();
    const names = ['a', 'b'].map((id) => old.write(made, id));
    const reading = entries(reader.read(1 << 20));
    expect(reading.operations.map((each) => each.number)).toEqual(names);
    const target = queueLog.openTarget(image.dir);
    for (const each of reading.operations) target.put(each.text);
    for (const line of reading.rest ?? []) target.put(line);
    expect(target.finish()).toEqual(reader.position());
    expect(rowsOf(image.dir, number)).toEqual(old.rows(number));
    target.close();
    reader.close();
    old.remove();
    image.remove();
  });
});

describe('a follower of a queue', () => {
  it('reads each operation once, and the tables only when they changed', () => {
    expect(read()).toBeUndefined();
    store.write(kept, 'a');
    store.write(kept, 'b');
    const both = entries(read());
    expect(numbers(both)).toEqual([241, 242]);
    expect(both.rest).toBeUndefined();
    expect(follower.hasChanged()).toBe(false);
    expect(read()).toBeUndefined();
    store.rename(kept, 'other');
    expect(follower.hasChanged()).toBe(true);
    const renamed = entries(read());
    expect(renamed.operations).toEqual([]);
    expect(renamed.rest?.join('\n')).toContain('other');
    expect(renamed.to).toEqual(follower.position());
  });

  it('says that there is more, and has read all when it does not', () => {
    const document = 'x'.repeat(1000);
    for (let index = 0; index < 10; index += 1) store.write(kept, `r${index}`, { document });
    store.rename(kept, 'other');
    const found: number[] = [];
    let last: LogReading | undefined;
    for (;;) {
      last = follower.read(2500);
      found.push(...numbers(last));
      expect(entries(last).rest === undefined).toBe(entries(last).hasMore);
      if (!entries(last).hasMore) break;
      expect(follower.hasChanged()).toBe(true);
    }
    expect(found).toEqual(Array.from({ length: 10 }, (_, index) => 241 + index));
    expect(follower.hasChanged()).toBe(false);
  });

  it('reads one operation of 20 MB', () => {
    store.write(kept, 'large', { document: 'x'.repeat(20 << 20) });
    store.write(kept, 'small');
    expect(numbers(follower.read(1 << 20))).toEqual([241]);
    expect(numbers(follower.read(1 << 20))).toEqual([242]);
  });

  it('misses nothing by a purge of what it has read', () => {
    store.write(kept, 'a');
    read();
    store.write(kept, 'b');
    store.purge(kept);
    expect(numbers(read())).toEqual([242]);
  });

  it('reports a gap when operations were purged before it read them', () => {
    for (const id of ['a', 'b', 'c']) store.write(kept, id);
    store.purge(kept);
    expect(read()).toMatchObject({
      type: 'gap',
      after: 240,
      why: 'the operations from 241 to 242 were purged before they were read',
    });
    expect(read()).toMatchObject({ type: 'gap' });
  });

  it('reports a gap in the middle, after all that is before it', () => {
    const [, other = ''] = store.collections();
    store.write(kept, 'a');
    store.write(other, 'b');
    store.write(other, 'c');
    store.purge(other);
    expect(numbers(read())).toEqual([241]);
    expect(read()).toMatchObject({ type: 'gap', after: 241 });
  });

  it('goes back to the number to which a deletion of a collection took the queue', () => {
    const gone = store.create();
    store.write(kept, 'stays');
    store.write(gone, 'x');
    store.write(gone, 'y');
    read();
    store.delete(gone);
    expect(read()).toMatchObject({ cutTo: 241, operations: [], to: { number: 241 } });
    expect(read()).toBeUndefined();
    store.write(kept, 'again');
    expect(numbers(read())).toEqual([242]);
  });

  it.each([1, 2, 3])('notices that %i numbers were used again between two reads', (writes) => {
    const gone = store.create();
    store.write(kept, 'stays');
    store.write(gone, 'x');
    store.write(gone, 'y');
    read();
    store.delete(gone);
    for (let index = 0; index < writes; index += 1) store.write(kept, `again ${index}`);
    const reading = entries(read());
    expect(reading.cutTo).toBe(241);
    expect(numbers(reading)).toEqual(Array.from({ length: writes }, (_, index) => 242 + index));
    expect(reading.to).toEqual(follower.position());
  });

  it('goes back to 0 if nothing is left', () => {
    const empty = new QueueStore();
    for (const id of empty.collections()) empty.delete(id);
    const reader = followFrom(empty);
    expect(reader.position().number).toBe(0);
    const made = new QueueStore({ dir: empty.dir });
    empty.change((db) => {
      db.exec("INSERT INTO collections SELECT 'c', 'n', NULL, id, NULL, NULL FROM databases LIMIT 1");
    });
    made.write('c', 'a');
    made.write('c', 'b');
    expect(numbers(reader.read(1 << 20))).toEqual([1, 2]);
    empty.delete('c');
    expect(entries(reader.read(1 << 20))).toMatchObject({ cutTo: 0, to: { number: 0, operation: null } });
    reader.close();
    empty.remove();
  });

  it('reports a gap if it cannot tell to where the queue was cut', () => {
    const gone = store.create();
    store.write(gone, 'x');
    store.write(kept, 'y');
    store.write(gone, 'z');
    read();
    // What is before the newest was purged, and the newest went with its collection: numbers go on from who knows where.
    store.change((db) => db.prepare('DELETE FROM embeddings_queue WHERE seq_id = 242').run());
    store.delete(gone);
    expect(read()).toMatchObject({ type: 'gap', after: 243 });
  });

  it('reports a gap if the operation at which it begins was never there', () => {
    store.write(kept, 'a');
    const at = follower.position();
    const other = '0'.repeat(64);
    for (const from of [
      { ...at, operation: other },
      { ...at, number: 999 },
      { ...at, number: 200 },
    ]) {
      follower.start(from);
      expect(read()).toMatchObject({ type: 'gap' });
    }
    follower.start(at);
    expect(read()).toBeUndefined();
  });

  it('tells whether the store was at a position', () => {
    store.write(kept, 'a');
    const at = follower.position();
    store.write(kept, 'b');
    const told = (changes: object) => follower.wasAt({ ...at, ...changes });
    expect(told({})).toBe('yes');
    expect(told({ operation: '0'.repeat(64) })).toBe('no');
    expect(told({ number: 300 })).toBe('no');
    expect(told({ number: 200 })).toBe('unknown');
    expect(told({ number: 0, operation: null })).toBe('yes');
    expect(queueLog.wasAt(store.dir, at, join(store.dir, '../scratch'))).toBe('yes');
  });

  it('is busy while a writer has the database, and misses nothing of it', () => {
    const db = new Database(join(store.dir, 'chroma.sqlite3'));
    db.exec('BEGIN EXCLUSIVE');
    expect(() => read()).toThrow(expect.objectContaining({ code: 'BUSY' }));
    db.exec('COMMIT');
    db.close();
    store.write(kept, 'a');
    expect(numbers(read())).toEqual([241]);
  });

  it('reads nothing of what is not committed', () => {
    const db = new Database(join(store.dir, 'chroma.sqlite3'));
    db.exec("BEGIN IMMEDIATE; INSERT INTO embeddings_queue (operation, topic, id) VALUES (2, 't/x', 'a')");
    expect(read()).toBeUndefined();
    db.exec('ROLLBACK');
    db.close();
    expect(read()).toBeUndefined();
  });

  it('waits for a store that is being made', () => {
    const dir = mkdtempSync(join(fastTmp, 'sync-agent-new-'));
    const missing: unknown = expect.objectContaining({ code: 'NOT_FOUND' });
    expect(() => queueLog.follow(dir)).toThrow(missing);
    expect(existsSync(join(dir, 'chroma.sqlite3'))).toBe(false);
    const db = new Database(join(dir, 'chroma.sqlite3'));
    db.exec('CREATE TABLE migrations (x)');
    const early = queueLog.follow(dir);
    expect(() => early.position()).toThrow(missing);
    db.exec('CREATE TABLE embeddings_queue (seq_id INTEGER PRIMARY KEY)');
    expect(() => early.position()).toThrow(missing);
    db.close();
    early.close();
    rmSync(dir, { recursive: true });
  });
});
