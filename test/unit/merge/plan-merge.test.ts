import { describe, expect, it } from 'vitest';
import { carryOut } from '../../../src/engine/merge/carry-out.ts';
import { keyOf } from '../../../src/engine/merge/last-writes.ts';
import { planMerge } from '../../../src/engine/merge/plan-merge.ts';
import type { MergePlan, PlanOptions } from '../../../src/engine/merge/plan-merge.ts';
import type { Context } from '../../../src/engine/context.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type {
  CollectionDescription,
  RecordSource,
  RecordTarget,
  SourceRecord,
} from '../../../src/stores/record-source.ts';

/** Documents by id, in a collection by name. */
type Documents = Readonly<Record<string, string>>;
interface Stored extends Partial<CollectionDescription> {
  readonly documents: Documents;
}
type Content = Readonly<Record<string, Documents | Stored>>;

const recordOf = (id: string, document: string): SourceRecord => ({
  id,
  embedding: Float32Array.of(1, document.length),
  document,
  uri: null,
  metadata: null,
});
const storedOf = (content: Content, name: string): Stored => {
  const given = content[name] ?? {};
  return 'documents' in given && typeof given.documents === 'object' ? (given as Stored) : { documents: given as Documents }; // prettier-ignore
};

/** Collections have their first name as their id, unless they say another one. */
function sourceOf(content: Content): RecordSource {
  const collections = Object.keys(content).map((name): CollectionDescription => {
    const { documents: _, ...rest } = storedOf(content, name);
    return {
      id: name,
      name,
      tenant: 't',
      database: 'd',
      dimension: 2,
      space: 'l2',
      metadata: null,
      configuration: null,
      schema: null,
      ...rest,
    };
  });
  return {
    collections,
    count: async () => 0,
    records: async function* ({ name }) {
      for (const [id, text] of Object.entries(storedOf(content, name).documents)) yield recordOf(id, text);
    },
    close: () => undefined,
  };
}

interface Case extends Partial<PlanOptions> {
  readonly base: Content;
  readonly a: Content;
  readonly b: Content;
  /** Default: as A. */
  readonly server?: Content;
}
const plan = ({ base, a, b, server = a, ...options }: Case): Promise<MergePlan> =>
  planMerge(
    { base: sourceOf(base), ours: sourceOf(a), theirs: sourceOf(b) },
    {
      openServer: async () => sourceOf(server),
      unsure: new Set(),
      times: undefined,
      signal: undefined,
      ...options,
    },
  );
const what = ({ collections }: MergePlan): readonly object[] =>
  collections.map(({ name, change, written, deleted, conflicts }) => ({
    name,
    change,
    written,
    deleted,
    conflicts: conflicts.map(({ id, taken }) => `${id}: ${taken}`),
  }));

describe('what a server gets', () => {
  const both = { base: { c: { x: '1' } }, a: { c: { x: '2' } }, b: { c: { x: '3' } } };

  it('is what only B changed', async () => {
    const made = await plan({
      base: { c: { kept: '1', a: '1', b: '1', gone: '1' } },
      a: { c: { kept: '1', a: '2', b: '1', gone: '1' } },
      b: { c: { kept: '1', a: '1', b: '22', new: '1' } },
    });
    expect(what(made)).toEqual([
      { name: 'c', change: 'merged', written: ['b', 'new'], deleted: ['gone'], conflicts: [] },
    ]);
    expect([made.problems, made.notes, made.differences]).toEqual([[], [], []]);
  });

  it('is nothing where both changed a record and no rule decides', async () => {
    const made = await plan(both);
    expect(what(made)).toEqual([
      { name: 'c', change: 'merged', written: [], deleted: [], conflicts: ['x: null'] },
    ]);
    expect(made.problems).toEqual([
      '1 records were changed on both sides; choose with --prefer A, B or newest',
    ]);
  });

  it.each([
    ['A', [], 'x: A'],
    ['B', ['x'], 'x: B'],
  ] as const)('is that of %s by the rule of that name', async (prefer, written, conflict) => {
    const made = await plan({ ...both, prefer });
    expect(what(made)).toMatchObject([{ written, conflicts: [conflict] }]);
    expect(made.problems).toEqual([]);
  });

  it.each([
    [1000, 2000, 'B', []],
    [2000, 1000, 'A', []],
    [
      1000,
      1000,
      null,
      ['1 records were changed on both sides at the same time; choose with --prefer A or --prefer B'],
    ],
  ] as const)('is that of the later write: %i and %i', async (ours, theirs, taken, problems) => {
    const times = { ours: () => ours, theirs: () => theirs };
    const made = await plan({ ...both, prefer: 'newest', times });
    expect(made.collections[0]?.conflicts).toMatchObject([
      { taken, times: { ours: new Date(ours).toISOString() } },
    ]);
    expect(made.problems).toEqual(problems);
  });

  it('is no record that may have been written on either side, without a rule', async () => {
    const unsure = new Set([keyOf({ collection: 'c', id: 'x' }), keyOf({ collection: 'other', id: 'y' })]);
    const sides = {
      base: { c: { x: '1', y: '1' } },
      a: { c: { x: '2', y: '1' } },
      b: { c: { x: '1', y: '2' } },
    };
    const made = await plan({ ...sides, unsure });
    expect(what(made)).toMatchObject([{ written: ['y'], conflicts: ['x: null'] }]);
    expect(what(await plan({ ...sides, unsure, prefer: 'B' }))).toMatchObject([{ written: ['y', 'x'] }]);
  });

  it('is less after a merge that was cut off, and nothing after one that was not', async () => {
    const sides = { base: { c: { x: '1' } }, a: { c: { x: '1' } }, b: { c: { y: '1' } } };
    expect(what(await plan(sides))).toMatchObject([{ written: ['y'], deleted: ['x'] }]);
    const half = await plan({ ...sides, server: { c: { x: '1', y: '1' } } });
    expect(what(half)).toMatchObject([{ written: [], deleted: ['x'] }]);
    expect(half.problems).toEqual([]);
    const whole = await plan({ ...sides, server: { c: { y: '1' } } });
    expect([whole.work, whole.problems, whole.collections[0]?.already]).toEqual([[], [], 2]);
  });
});

describe('a server that has not the records of A', () => {
  const sides = {
    base: { c: { x: '1', y: '1' } },
    a: { c: { x: '1', y: '1' } },
    b: { c: { x: '2', y: '1' } },
  };
  it.each<[string, Content, object]>([
    ['another record', { c: { x: '1', y: '3' } }, { change: 'changed', ids: ['y'] }],
    ['one more', { c: { x: '1', y: '1', z: '1' } }, { change: 'changed', ids: ['z'] }],
    ['one less', { c: { x: '1' } }, { change: 'changed', ids: ['y'] }],
    ['another one where B wrote', { c: { x: '3', y: '1' } }, { change: 'changed', ids: ['x'] }],
    ['one collection less', {}, { change: 'missing', name: 'c' }],
    ['one collection more', { c: { x: '1', y: '1' }, d: {} }, { change: 'extra', name: 'd' }],
  ])('is named: %s', async (_, server, difference) => {
    const made = await plan({ ...sides, server });
    expect(made.differences).toMatchObject([difference]);
    expect(made.problems).toHaveLength(1);
  });

  it('counts as A if a person insists: then its own changes can be in conflict', async () => {
    const server = { c: { x: '3', y: '3' } };
    const made = await plan({ ...sides, server, force: true });
    expect(what(made)).toMatchObject([{ written: [], conflicts: ['x: null'] }]);
    expect(what(await plan({ ...sides, server, force: true, prefer: 'B' }))).toMatchObject([
      { written: ['x'], conflicts: ['x: B'] },
    ]);
  });
});

describe('collections', () => {
  it('that only B has are created, and one that A made stays', async () => {
    const made = await plan({ base: {}, a: { own: { x: '1' } }, b: { new: { y: '1' }, empty: {} } });
    expect(what(made)).toEqual([
      { name: 'new', change: 'created', written: ['y'], deleted: [], conflicts: [] },
      { name: 'empty', change: 'created', written: [], deleted: [], conflicts: [] },
    ]);
    expect(made.work).toHaveLength(2);
  });

  it('that B renamed are found by their ids, and keep their name', async () => {
    const made = await plan({
      base: { c: { x: '1' } },
      a: { c: { x: '1' } },
      b: { other: { id: 'c', documents: { x: '2' } } },
    });
    expect(what(made)).toMatchObject([{ name: 'c', written: ['x'] }]);
    expect(made.notes).toEqual([
      'Collection "c" of database "d" was renamed to "other" in B; it stays "c" of database "d" in the server',
    ]);
  });

  it('that A renamed get what B wrote, under the new name', async () => {
    const made = await plan({
      base: { c: { x: '1' } },
      a: { other: { id: 'c', documents: { x: '1' } } },
      b: { c: { x: '2' } },
    });
    expect([what(made), made.notes]).toMatchObject([[{ name: 'other', written: ['x'] }], []]);
  });

  it('whose name another one of A took are refused', async () => {
    const made = await plan({
      base: { c: { x: '1' } },
      a: { n: { id: 'c', documents: { x: '1' } } },
      b: { c: { x: '1' }, n: { id: 'n2', documents: {} } },
    });
    expect(made.problems).toEqual([expect.stringContaining('A has another collection "n"')]);
  });

  it('that B deleted stay, and that is told', async () => {
    const made = await plan({ base: { c: { x: '1' } }, a: { c: { x: '1' } }, b: {} });
    expect([what(made), made.problems]).toEqual([[], []]);
    expect(made.notes).toEqual(['Collection "c" of database "d" was deleted in B; it stays in the server']);
  });

  it('that A deleted stay deleted, unless B went on writing', async () => {
    const base = { c: { x: '1', y: '1' } };
    expect(what(await plan({ base, a: {}, b: base }))).toEqual([]);
    const changed = { base, a: {}, b: { c: { x: '2', y: '1' } } };
    for (const prefer of [undefined, 'newest'] as const)
      expect((await plan({ ...changed, prefer })).problems).toEqual([
        expect.stringContaining('was deleted in A'),
      ]);
    const left = await plan({ ...changed, prefer: 'A' });
    expect([what(left), left.problems]).toEqual([[], []]);
    const back = await plan({ ...changed, prefer: 'B' });
    expect(what(back)).toMatchObject([{ change: 'created', written: ['x', 'y'] }]);
    const again = await plan({ ...changed, prefer: 'B', server: { c: { x: '2' } } });
    expect([what(again), again.problems]).toMatchObject([[{ change: 'merged', written: ['y'] }], []]);
    const other = await plan({ ...changed, prefer: 'A', server: { c: { x: '2' } } });
    expect(other.differences).toMatchObject([{ name: 'c', change: 'extra' }]);
  });

  it('that B made again are merged by their ids, and that is told', async () => {
    const made = await plan({
      base: { c: { x: '1', y: '1' } },
      a: { c: { x: '1', y: '2' } },
      b: { c: { id: 'c2', documents: { z: '1' } } },
    });
    expect(what(made)).toMatchObject([{ written: ['z'], deleted: ['x'], conflicts: ['y: null'] }]);
    expect(made.notes).toEqual([expect.stringContaining('deleted and made again in B')]);
  });

  it('of another distance or dimension are refused before anything is written', async () => {
    const a = { c: {} };
    for (const other of [{ space: 'ip' }, { dimension: 3 }]) {
      const b = { c: { ...other, documents: {} } };
      expect((await plan({ base: {}, a, b, server: a })).problems).toEqual([expect.stringContaining('in B')]);
      const served = await plan({ base: {}, a: {}, b: a, server: b });
      expect(served.problems).toContain(
        'Collection "c" of database "d" has another dimension or distance in the server',
      );
    }
  });

  it('whose metadata B changed keep theirs, and that is told', async () => {
    const of = (metadata: string): Content => ({ c: { metadata, documents: {} } });
    const told = async (b: Content): Promise<number> =>
      (await plan({ base: of('{"a":1,"b":2}'), a: of('{"a":1,"b":2}'), b })).notes.length;
    expect([await told(of('{"b":2,"a":1}')), await told(of('{"a":2}'))]).toEqual([0, 1]);
  });
});

describe('what a merge wrote is read back', () => {
  /** A server that keeps what it is sent, but for what `spoil` makes of it when all is written. */
  async function write(spoil: (content: Map<string, SourceRecord>) => void): Promise<void> {
    const sides = { base: { c: { x: '1' } }, a: { c: { x: '1' } }, b: { c: { y: '1', z: '1' } } };
    const { work } = await plan(sides);
    const content = new Map([['x', recordOf('x', '1')]]);
    const collection = sourceOf(sides.a).collections[0] as CollectionDescription;
    const put = async (_: unknown, records: readonly SourceRecord[]): Promise<void> => {
      for (const record of records) content.set(record.id, record);
    };
    const target: RecordTarget = {
      url: 'http://server',
      removesKeys: true,
      maxBatch: async () => 100,
      find: async () => collection,
      create: async () => collection,
      count: async () => content.size,
      byIds: async (_, ids) => ids.flatMap((id) => content.get(id) ?? []),
      add: put,
      upsert: put,
      remove: async (_, ids) => {
        for (const id of ids) content.delete(id);
        spoil(content);
      },
    };
    const context = { clock: systemClock, emit: () => undefined } as unknown as Context;
    await carryOut(context, target, work);
    expect([...content.keys()]).toEqual(['y', 'z']);
  }

  it('and is right', () => write(() => undefined));

  it.each<[string, readonly string[], (content: Map<string, SourceRecord>) => void]>([
    [
      'a vector that differs in its last bit',
      ['y'],
      (content) => content.set('y', { ...recordOf('y', '1'), embedding: Float32Array.of(1.0000001, 1) }),
    ],
    ['records that are gone', ['y', 'z'], (content) => content.clear()],
    ['a deleted record that is back', ['x'], (content) => content.set('x', recordOf('x', '1'))],
  ])('%s is an error with the ids', async (_, ids, spoil) => {
    await expect(write(spoil)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringContaining(
        `${ids.length} records back as they were written: ${ids.map((id) => `"${id}"`).join(', ')}`,
      ) as string,
    });
  });
});
