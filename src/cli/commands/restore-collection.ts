import { SyncAgentError } from '../../platform/errors.ts';
import type { GivenFlags } from '../flags.ts';
import { sentLines } from '../text/import-lines.ts';
import type { Invocation, Outcome } from './command.ts';

/** The flags of `restore` that are about one collection of a running server. */
export const collectionOptions = {
  collection: {
    type: 'string',
    describe: 'Restore only this collection, into the running server of --chroma; the store is not touched',
  },
  chroma: { type: 'string', describe: 'With --collection: URL of the Chroma server' },
  as: { type: 'string', describe: 'With --collection: name of the collection in the server' },
  database: { type: 'string', describe: 'With --collection: its database, if several have one of that name' },
  tenant: { type: 'string', describe: 'With --collection: its tenant' },
  overwrite: { type: 'boolean', describe: 'With --collection: replace records that are there and differ' },
} as const;

/** Takes one collection out of a snapshot. */
export async function restoreCollection({ agent, flags, signal, style }: Invocation): Promise<Outcome> {
  for (const name of ['to', 'skip-backup', 'force', 'dry-run', 'wait-for-lease', 'on-error'])
    if (isGiven(flags, name)) throw misplaced(name, 'with --collection: it is about the whole store');
  const chroma = flags.text('chroma');
  if (chroma === undefined) {
    throw new SyncAgentError('USAGE', 'Cannot restore one collection without a server to put it into', {
      remedy: 'Add --chroma URL, such as --chroma http://127.0.0.1:8000',
    });
  }
  const result = await agent.restoreCollection(flags.text('collection') ?? '', {
    chroma,
    snapshot: flags.text('snapshot'),
    as: flags.text('as'),
    database: flags.text('database'),
    tenant: flags.text('tenant'),
    overwrite: flags.has('overwrite'),
    signal,
  });
  return { result, lines: [`From ${result.from}`, ...sentLines(result, style)] };
}

/** Throws USAGE for flags that mean nothing without a collection. */
export function assertNoCollectionFlags(flags: GivenFlags): void {
  for (const name of Object.keys(collectionOptions))
    if (isGiven(flags, name)) throw misplaced(name, 'without --collection');
}

const isGiven = (flags: GivenFlags, name: string): boolean =>
  flags.has(name) || flags.text(name) !== undefined;

const misplaced = (name: string, why: string): SyncAgentError =>
  new SyncAgentError('USAGE', `Cannot use --${name} ${why}`);
