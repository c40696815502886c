import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as z from 'zod';
import { SyncAgentError, errnoOf, messageOf } from '../platform/errors.ts';
import { isSnapshotId } from '../log/layout.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { writeFileAtomic } from '../platform/file-system.ts';
import type { Home } from './home.ts';
import { journalPath } from './home.ts';
import { remoteStateSchema } from './state.ts';

const journalFormat = 1;
const name = z.string().regex(/^[0-9A-Za-z][0-9A-Za-z.-]{0,99}$/);
const snapshotId = z.string().refine(isSnapshotId);

const swapSchema = z.object({
  format: z.literal(journalFormat),
  type: z.literal('swap'),
  /** The new store: complete, verified and on disk. It is `data` in a directory below staging, or a rollback copy. */
  from: z.object({ type: z.enum(['staging', 'rollback']), name }),
  /** Where the old store goes, below the rollback directory. */
  rollback: name,
  keepRollback: z.boolean(),
  /** Absent in journals of older versions: then `Home.swap` decides. */
  way: z.enum(['rename', 'entries']).optional(),
  /** Paths in the store that stay where they are. */
  kept: z.array(z.string()).optional(),
  /** How far a swap by entries has got. Absent in journals of older versions: see `withPhase`. */
  phase: z.enum(['out', 'in', 'undo-in', 'undo-out']).optional(),
  /** The number of top-level entries in `data` that are moved. */
  entries: z.number().int().nonnegative(),
  /** `placementFingerprint` of `data`. At the end it shows whether somebody wrote since. Empty means: as if somebody had. */
  placement: z.string(),
  location: z.string(),
  parent: z.object({ id: snapshotId, generation: z.number().int(), lastModifiedMs: z.number() }).nullable(),
  settled: z.array(snapshotId),
  /**
   * The records of all remotes, if the new store continues the old one: a mended store has the parents of the damaged one. Without
   * it, the new store is `parent`, and only the remote at `location` knows it.
   */
  continues: z.record(z.string(), remoteStateSchema).optional(),
  /** See `SwapRequest`. */
  givesUpLog: z.boolean().optional(),
});

const replaceSchema = z.object({
  format: z.literal(journalFormat),
  type: z.literal('replace'),
  attempt: name,
  location: z.string(),
  snapshot: snapshotId,
});

const journalSchema = z.discriminatedUnion('type', [swapSchema, replaceSchema]);

/**
 * The swap or replacement that is under way. The journal has no absolute paths: everything is found below the store and its home,
 * so a damaged or hostile journal cannot point anywhere else.
 */
export type Journal = z.infer<typeof journalSchema>;
export type SwapJournal = z.infer<typeof swapSchema>;
export type ReplaceJournal = z.infer<typeof replaceSchema>;

export async function readJournal(home: Home): Promise<Journal | undefined> {
  const path = journalPath(home);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw new SyncAgentError('DENIED', `Cannot read the journal "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
  try {
    return journalSchema.parse(JSON.parse(text));
  } catch (error) {
    const format = z.object({ format: z.number() }).safeParse(safeJson(text));
    const isNewer = format.success && format.data.format > journalFormat;
    throw new SyncAgentError(
      isNewer ? 'TOO_NEW' : 'STORE_CORRUPT',
      `Cannot finish the interrupted restore of "${home.store}": its journal "${path}" ${isNewer ? 'was written by a newer version' : 'is damaged'}`,
      {
        remedy: 'Look at the store and the rollback copies beside the journal, then move the journal away',
        cause: error,
      },
    );
  }
}

export async function writeJournal(
  fs: FileSystem,
  home: Home,
  journal: Omit<SwapJournal, 'format'> | Omit<ReplaceJournal, 'format'>,
): Promise<void> {
  const path = journalPath(home);
  await writeFileAtomic(fs, path, `${JSON.stringify({ format: journalFormat, ...journal }, null, 1)}\n`);
}

export async function removeJournal(fs: FileSystem, home: Home): Promise<void> {
  await fs.remove(journalPath(home));
  await fs.sync(dirname(journalPath(home)));
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
