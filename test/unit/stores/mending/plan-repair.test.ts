import { describe, expect, it } from 'vitest';
import type { Problem } from '../../../../src/stores/adapter.ts';
import { planRepair } from '../../../../src/stores/chroma/mending/plan-repair.ts';
import type { CollectionTrouble, RepairFacts } from '../../../../src/stores/chroma/mending/repair-facts.ts';

const sound: RepairFacts = {
  verdict: { damage: [], findings: [] },
  records: 10,
  collections: [],
  orphans: { folders: [], rows: [] },
};
const problem = (kind: Problem['kind'], message = 'x'): Problem => ({
  kind,
  where: 'chroma.sqlite3',
  message,
});
const trouble = (more: Partial<CollectionTrouble>): CollectionTrouble => ({
  id: 'c1',
  name: 'one',
  problems: [],
  queueEndsBefore: undefined,
  vectors: undefined,
  ...more,
});
const vectors = { fromQueue: 1, fromIndex: 2, losses: [], isOfAnotherTime: false };
const loss = { collection: 'one', id: 'a', missing: 'vector' } as const;
const typesOf = (steps: readonly { readonly type: string }[]): readonly string[] =>
  steps.map(({ type }) => type);

describe('the plan of a repair', () => {
  it('is empty for a sound store', () => {
    expect(planRepair(sound, [])).toMatchObject({ steps: [], withheld: [], left: [], isPartial: false });
  });

  it.each(['full-text', 'index', 'unused-pages'] as const)(
    'writes the database anew for a finding of %s',
    (kind) => {
      const plan = planRepair({ ...sound, verdict: { damage: [], findings: [problem(kind)] } }, []);
      expect(typesOf(plan.steps)).toEqual(['database']);
      expect(plan.isPartial).toBe(kind === 'index');
    },
  );

  it.each(['constraint', 'not-evaluable'] as const)('does nothing for a finding of %s', (kind) => {
    expect(planRepair({ ...sound, verdict: { damage: [], findings: [problem(kind)] } }, []).steps).toEqual(
      [],
    );
  });

  it('writes the database anew if only its list of free pages is broken', () => {
    const damage = [
      problem('database', 'chroma.sqlite3 is corrupt: Freelist: freelist leaf count too big on page 9'),
    ];
    expect(planRepair({ ...sound, verdict: { damage, findings: [] } }, [])).toMatchObject({
      steps: [{ type: 'database' }],
      left: [],
    });
  });

  it.each(['database', 'schema'] as const)('builds nothing from a store with damage of %s', (kind) => {
    const lost = problem(
      kind,
      'chroma.sqlite3 is corrupt: Tree 9 page 9: btreeInitPage() returns error code 11',
    );
    const facts = {
      ...sound,
      verdict: { damage: [lost], findings: [problem('full-text')] },
      collections: [trouble({ vectors })],
      orphans: { folders: [{ name: 'f', bytes: 1 }], rows: [] },
    };
    expect(planRepair(facts, ['orphans', 'accept-loss'])).toMatchObject({
      steps: [],
      withheld: [],
      left: [{ message: lost.message, remedy: expect.stringContaining('export --salvage') as string }],
    });
  });

  it('rebuilds a vector index unasked only if no record is lost by it', () => {
    const plan = (more: object, allowed: readonly ['accept-loss'] | readonly [] = []) =>
      planRepair({ ...sound, collections: [trouble({ vectors: { ...vectors, ...more } })] }, allowed);
    expect(plan({})).toMatchObject({ steps: [{ type: 'vector-index', target: 'c1' }], withheld: [] });
    expect(plan({ losses: [{ ...loss, missing: 'length' }] })).toMatchObject({
      steps: [{ losses: [{ id: 'a' }] }],
    });
    for (const more of [{ losses: [loss] }, { isOfAnotherTime: true }]) {
      expect(plan(more)).toMatchObject({
        steps: [],
        withheld: [{ type: 'vector-index', needs: 'accept-loss' }],
      });
      expect(plan(more, ['accept-loss'])).toMatchObject({ steps: [{ type: 'vector-index' }], withheld: [] });
    }
  });

  it('continues a queue before anything else of its collection', () => {
    const plan = planRepair({ ...sound, collections: [trouble({ queueEndsBefore: 7 })] }, []);
    expect(plan.steps).toMatchObject([{ type: 'queue', target: 'c1' }]);
  });

  it('removes orphans only when told', () => {
    const facts = { ...sound, orphans: { folders: [], rows: [{ table: 'embeddings', count: 3 }] } };
    expect(planRepair(facts, ['accept-loss'])).toMatchObject({ steps: [], withheld: [{ needs: 'orphans' }] });
    expect(planRepair(facts, ['orphans']).steps).toMatchObject([{ type: 'orphans' }]);
  });
});
