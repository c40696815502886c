import { mkdirSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { explainFailure } from '../../../src/engine/explain-failure.ts';
import type { Home } from '../../../src/home/home.ts';
import { queueLog } from '../../../src/stores/chroma/log/queue-log.ts';
import type { LogFollower, LogPosition, LogTarget } from '../../../src/stores/operation-log.ts';
import { QueueStore, entries, followFrom, rowsOf } from '../../support/queue-store.ts';
import type { Entries } from '../../support/queue-store.ts';

let store: QueueStore;
let image: QueueStore;
let follower: LogFollower;
let target: LogTarget;
beforeEach(async () => {
  store = new QueueStore();
  image = await store.copy();
  follower = followFrom(store);
  target = queueLog.openTarget(image.dir);
});
afterEach(() => {
  follower.close();
  target.close();
  store.remove();
  image.remove();
});

const read = (): Entries => entries(follower.read(1 << 20));
const linesOf = ({ operations, rest = [] }: Entries): readonly string[] => [
  ...operations.map(({ text }) => text),
  ...rest,
];

/** As segments hold them, each with its own lines. */
function apply(...readings: readonly Entries[]): LogPosition {
  for (const reading of readings) {
    if (reading.cutTo !== undefined) target.cut(reading.cutTo);
    for (const line of linesOf(reading)) target.put(line);
  }
  return target.finish();
}

describe('a log that is put into a copy', () => {
  it('brings it to the store’s own position: operations, and collections made, renamed and deleted', () => {
    const [first = '', second = ''] = store.collections();
    store.write(first, 'a');
    const made = store.create();
    store.write(made, 'b');
    const one = read();
    store.rename(made, 'other');
    const two = read();
    store.delete(second);
    store.write(made, 'c');
    const three = read();
    expect(apply(one, two, three)).toEqual(follower.position());
    expect(rowsOf(image.dir, 240)).toEqual(store.rows(240));
    expect(image.collections()).toEqual(store.collections());
  });

  it('takes two states of the tables without an operation between them', () => {
    store.create();
    const one = read();
    store.create();
    const two = read();
    expect(apply(one, two)).toEqual(follower.position());
    expect(image.collections()).toEqual(store.collections());
  });

  it('is cut where the store was', () => {
    const [kept = ''] = store.collections();
    const gone = store.create();
    store.write(kept, 'stays');
    store.write(gone, 'goes');
    const one = read();
    store.delete(gone);
    const two = read();
    store.write(kept, 'again');
    const three = read();
    expect(two).toMatchObject({ cutTo: 241, operations: [] });
    expect(apply(one, two, three)).toEqual(follower.position());
    expect(rowsOf(image.dir, 240)).toEqual(store.rows(240));
  });

  it('is refused if a number does not follow', () => {
    const [first = ''] = store.collections();
    store.write(first, 'a');
    store.write(first, 'b');
    const [a = '', b = ''] = linesOf(read());
    expect(() => target.put(b)).toThrow(/operation 242 does not follow 240/);
    target.put(a);
    expect(() => target.put(a)).toThrow(/operation 241 does not follow 241/);
    target.put(b);
  });

  it.each([
    '[1]',
    '["x",null,2,"t","i",null,null,null]',
    '[-1,null,2,"t","i",null,null,null]',
    'x',
    '[241,{"blob":"0"},2,"t","i",null,null,null]',
  ])('is refused as damage for the line %s', (line) => {
    expect(() => target.put(line)).toThrow(expect.objectContaining({ code: 'STORE_CORRUPT' }));
  });

  it.each<[string, (lines: readonly string[]) => readonly string[]]>([
    ['other columns', (lines) => lines.map((line) => line.replace('"dimension"', '"dimensions"'))],
    ['a table that the store does not have', (lines) => [...lines, '{"table":"functions","columns":["id"]}']],
    [
      'a table too few',
      (lines) =>
        lines.slice(
          0,
          lines.findIndex((line) => line.includes('"segment_metadata"')),
        ),
    ],
    ['a row before its table', (lines) => ['{"row":[1]}', ...lines]],
    ['a row of another length', (lines) => [...lines, '{"row":[1]}']],
  ])('is refused as damage for tables with %s', (_, change) => {
    store.create();
    for (const line of change(linesOf(read()))) target.put(line);
    expect(() => target.finish()).toThrow(expect.objectContaining({ code: 'STORE_CORRUPT' }));
  });

  it('takes the folder and the rows of a collection that went, and nothing else', () => {
    const folders = (id: string) =>
      image.change((db) =>
        db.prepare("SELECT id FROM segments WHERE scope = 'VECTOR' AND collection = ?").pluck().get(id),
      ) as string;
    const [first = '', second = ''] = store.collections();
    const [goes, stays] = [folders(first), folders(second)];
    mkdirSync(join(image.dir, 'mine'));
    writeFileSync(join(image.dir, 'mine/note.txt'), 'mine');
    expect(existsSync(join(image.dir, goes))).toBe(true);
    store.delete(first);
    apply(read());
    expect(existsSync(join(image.dir, goes))).toBe(false);
    expect(existsSync(join(image.dir, stays))).toBe(true);
    expect(existsSync(join(image.dir, 'mine/note.txt'))).toBe(true);
    const left = image.change((db) =>
      db
        .prepare('SELECT count(*) FROM embeddings WHERE segment_id NOT IN (SELECT id FROM segments)')
        .pluck()
        .get(),
    );
    expect(left).toBe(0);
  });

  it('leaves the copy as it was until it is finished', () => {
    const [first = ''] = store.collections();
    store.write(first, 'a');
    for (const line of linesOf(read())) target.put(line);
    target.close();
    expect(rowsOf(image.dir, 240)).toEqual([]);
  });

  it('is no damage if the disk is full: not at an operation, and not at the end', async () => {
    const [first = ''] = store.collections();
    const fail = async (work: () => void): Promise<unknown> => {
      const full = vi.spyOn(Database.prototype, 'pragma').mockImplementation(function (
        this: Database.Database,
        source: string,
      ) {
        return this.exec(`PRAGMA ${source.replace('synchronous = extra', 'max_page_count = 1')}`);
      });
      target.close();
      target = queueLog.openTarget(image.dir);
      full.mockRestore();
      try {
        work();
      } catch (error) {
        const home = { dir: image.dir } as Home;
        const diskSpace = async () => ({ freeBytes: 7, totalBytes: 8 });
        return explainFailure(error, 'Cannot restore', { home, diskSpace });
      }
      return undefined;
    };
    const diskFull: unknown = expect.objectContaining({
      code: 'DISK_FULL',
      message: expect.stringContaining(
        'Cannot restore: database or disk is full; 7 bytes are free',
      ) as string,
    });
    store.write(first, 'large', { document: 'x'.repeat(400_000) });
    const operation = read();
    expect(await fail(() => linesOf(operation).forEach((line) => target.put(line)))).toEqual(diskFull);
    store.rename(first, 'n'.repeat(400_000));
    const renamed = read();
    expect(renamed.operations).toEqual([]);
    expect(await fail(() => apply(renamed))).toEqual(diskFull);
  });
});
