import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { labelsByOrder } from '../../../src/stores/chroma/records/salvage/ordered-labels.ts';
import type { OrderFacts } from '../../../src/stores/chroma/records/salvage/ordered-labels.ts';

function ordered(ids: readonly (string | readonly [string, Buffer])[], more: Partial<OrderFacts>): unknown {
  const db = new Database(':memory:');
  db.exec(
    'CREATE TABLE embeddings (id INTEGER PRIMARY KEY, segment_id TEXT, embedding_id TEXT, seq_id BLOB)',
  );
  const insert = db.prepare('INSERT INTO embeddings (segment_id, embedding_id, seq_id) VALUES (?, ?, ?)');
  for (const [i, each] of ids.entries()) {
    const [id, seqId] = typeof each === 'string' ? [each, BigInt(i + 1)] : each;
    insert.run('m', id, seqId);
  }
  const since = { ids: new Set<string>(), hasDeletions: false };
  const found = labelsByOrder(db, { metadataSegment: 'm', labels: [], since, known: new Map(), ...more });
  db.close();
  return found && Object.fromEntries(found);
}

describe('labels by the order of records', () => {
  const labels = [7, 2, 4];

  it('go up as the rows do, and rows that came since have none', () => {
    expect(ordered(['a', 'b', 'c'], { labels })).toEqual({ a: 2, b: 4, c: 7 });
    const since = { ids: new Set(['d']), hasDeletions: false };
    expect(ordered(['a', 'b', 'c', 'd'], { labels, since })).toEqual({ a: 2, b: 4, c: 7 });
  });

  it.each([
    ['there are fewer rows than labels', ['a', 'b'], {}],
    ['a row more is not of the queue', ['a', 'b', 'c', 'd'], {}],
    ['something was deleted since', ['b', 'c', 'd'], { since: { ids: new Set(['d']), hasDeletions: true } }],
    ['Chroma before 1.0 wrote a row', ['a', 'b', ['c', Buffer.alloc(8)]], {}],
    ['the rest of the pickle says otherwise', ['a', 'b', 'c'], { known: new Map([['b', 7]]) }],
  ] as const)('are unknown if %s', (_, ids, more) => {
    expect(ordered(ids, { labels, ...more })).toBeUndefined();
  });
});
