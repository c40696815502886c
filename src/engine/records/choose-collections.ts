import { SyncAgentError } from '../../platform/errors.ts';
import type { CollectionDescription } from '../../stores/record-source.ts';

export interface CollectionChoice {
  /** Names. All by default. */
  readonly collections?: readonly string[] | undefined;
  /** Only those of this database, and of this tenant. */
  readonly database?: string | undefined;
  readonly tenant?: string | undefined;
}

/** NOT_FOUND, with the names that there are, for a name that is not among them. */
export function chooseCollections(
  all: readonly CollectionDescription[],
  { collections: names = [], database, tenant }: CollectionChoice,
  where: string,
): readonly CollectionDescription[] {
  const there = all.filter(
    (each) =>
      (database === undefined || each.database === database) &&
      (tenant === undefined || each.tenant === tenant),
  );
  for (const name of names) {
    if (there.some((each) => each.name === name)) continue;
    const known = there.map((each) => `"${each.name}"`).join(', ');
    throw new SyncAgentError('NOT_FOUND', `Cannot find collection "${name}" in "${where}"`, {
      remedy: known === '' ? 'There is no collection' : `There are ${known}`,
    });
  }
  return names.length === 0 ? there : there.filter((each) => names.includes(each.name));
}

/** As `chooseCollections`, of one name that must stand for one collection. */
export function chooseOne(
  all: readonly CollectionDescription[],
  { name, database, tenant }: { readonly name: string } & Omit<CollectionChoice, 'collections'>,
  where: string,
): CollectionDescription {
  const [found, other] = chooseCollections(all, { collections: [name], database, tenant }, where);
  if (found !== undefined && other === undefined) return found;
  throw new SyncAgentError('USAGE', `Cannot tell which collection "${name}" of "${where}" is meant`, {
    remedy: 'It is in several databases: name one with --database',
  });
}
