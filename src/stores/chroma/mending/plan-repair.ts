import type { Problem } from '../../adapter.ts';
import type { Permission, RepairPlan, RepairStep, WithheldStep } from '../../mending.ts';
import type { CollectionTrouble, Orphans, RepairFacts } from './repair-facts.ts';

const databaseName = 'chroma.sqlite3';
const salvage =
  'Save its records with "sync-agent export --salvage --to ./saved", or go back to a snapshot with "sync-agent restore --on-damage recover"';

/** Decides what a repair does. Pure. */
export function planRepair(facts: RepairFacts, allowed: readonly Permission[]): RepairPlan {
  const { verdict, records } = facts;
  const lost = verdict.damage.filter((problem) => problem.kind !== 'vector-index' && !isOfFreePages(problem));
  // What is built from a table that lost rows would hide that loss.
  if (lost.length > 0) {
    const left = lost.map((problem) => ({ ...problem, remedy: salvage }));
    return { ...verdict, records, steps: [], withheld: [], left, isPartial: false };
  }
  const possible: (RepairStep & { readonly needs?: Permission })[] = [
    ...writeAnew(facts),
    ...facts.collections.flatMap(continueQueue),
    ...facts.collections.flatMap(rebuildIndex),
    ...removeOrphans(facts.orphans),
  ];
  const isAllowed = ({ needs }: { readonly needs?: Permission }): boolean =>
    needs === undefined || allowed.includes(needs);
  return {
    ...verdict,
    records,
    steps: possible.filter(isAllowed).map(({ needs: _, ...step }) => step),
    withheld: possible.filter((step): step is WithheldStep => !isAllowed(step)),
    left: [],
    isPartial: verdict.findings.some(({ kind }) => kind === 'index'),
  };
}

/** The list of free pages is no part of any table: who writes the tables anew needs none. */
const isOfFreePages = ({ kind, message }: Problem): boolean =>
  kind === 'database' && message.startsWith(`${databaseName} is corrupt: Freelist`);

function writeAnew({ verdict: { damage, findings } }: RepairFacts): RepairStep[] {
  const mended = [...damage, ...findings].some(
    (problem) => ['full-text', 'index', 'unused-pages'].includes(problem.kind) || isOfFreePages(problem),
  );
  if (!mended) return [];
  return [
    {
      type: 'database',
      where: databaseName,
      message: `Write ${databaseName} anew from its tables, with all its indexes and the full-text index`,
      target: databaseName,
      losses: [],
    },
  ];
}

function continueQueue({ id, name, queueEndsBefore }: CollectionTrouble): RepairStep[] {
  if (queueEndsBefore === undefined) return [];
  return [
    {
      type: 'queue',
      where: `collection "${name}"`,
      message: `Continue the queue of collection "${name}" after operation ${queueEndsBefore}: Chroma would drop the writes until then without a word`,
      target: id,
      losses: [],
    },
  ];
}

function rebuildIndex({
  id,
  name,
  vectors,
}: CollectionTrouble): (RepairStep & { readonly needs?: Permission })[] {
  if (vectors === undefined) return [];
  const { fromQueue, fromIndex, losses, isOfAnotherTime } = vectors;
  const lost = losses.filter(({ missing }) => missing === 'vector').length;
  const parts = [
    `${counted(fromIndex, 'vector')} of its files, ${fromQueue.toLocaleString('en-US')} of the queue`,
    ...(lost === 0 ? [] : [`without ${counted(lost, 'record')} whose vector is nowhere any more`]),
    ...(isOfAnotherTime
      ? ['its files are of another time: vectors that were changed in between may be old ones']
      : []),
  ];
  return [
    {
      type: 'vector-index',
      where: `collection "${name}"`,
      message: `Let Chroma rebuild the vector index of collection "${name}" at its first read: ${parts.join('; ')}`,
      target: id,
      losses,
      ...(lost > 0 || isOfAnotherTime ? { needs: 'accept-loss' as const } : {}),
    },
  ];
}

function removeOrphans({ folders, rows }: Orphans): (RepairStep & { readonly needs: Permission })[] {
  if (folders.length + rows.length === 0) return [];
  const parts = [
    ...(folders.length > 0 ? [counted(folders.length, 'folder')] : []),
    ...rows.map(({ table, count }) => `${counted(count, 'row')} of ${table}`),
  ];
  return [
    {
      type: 'orphans',
      where: folders.length > 0 ? folders.map(({ name }) => name).join(', ') : databaseName,
      message: `Remove what belongs to no collection: ${parts.join(', ')}`,
      target: JSON.stringify(folders.map(({ name }) => name)),
      losses: [],
      needs: 'orphans',
    },
  ];
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}
