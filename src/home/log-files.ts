import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import type { FileSystem } from '../platform/file-system.ts';
import { writeFileAtomic } from '../platform/file-system.ts';
import { positionSchema } from '../log/segments/position.ts';
import type { Home } from './home.ts';
import { readRecordFile } from './records/record-file.ts';

/**
 * How a backup and the agent that follows the store's own log hand over, whichever process the backup runs in:
 *
 *     backup      writes `log-next.json`: the new snapshot, and where it stands
 *     follower    writes what came after into the new snapshot's log, too; then `log-ready.json`
 *     backup      commits
 *
 * So the log of a snapshot reaches as far as that of the one before at the moment when the snapshot begins to count.
 */
const nextSchema = z.object({ snapshot: z.string(), position: positionSchema });
const readySchema = z.object({
  snapshot: z.string(),
  /** False if the follower has not read all that came after. */
  isReady: z.boolean(),
  /** The snapshot behind which all was written until now. Null if there is none. */
  continues: z.string().nullable(),
  /** Who writes the new log, as in its segments. Older versions did not say it. */
  writer: z.string().optional(),
});
/** Up to where the store's own writes are known to be in the log of a snapshot. */
const shippedSchema = z.object({
  snapshot: z.string(),
  /** Of the last segment; 0: none. */
  number: z.number().int().nonnegative(),
  position: positionSchema,
  /** Who wrote it, as in the segment. Older versions did not record it. */
  writer: z.string().optional(),
});

export type LogNext = z.infer<typeof nextSchema>;
export type LogReady = z.infer<typeof readySchema>;
export type LogShipped = z.infer<typeof shippedSchema>;

export const logNextPath = (home: Home): string => join(home.dir, 'log-next.json');
export const logReadyPath = (home: Home): string => join(home.dir, 'log-ready.json');
const logShippedPath = (home: Home): string => join(home.dir, 'log-shipped.json');
/** There while a store is in place that was made from an earlier state: what the log has after that was given up. */
const logGivenUpPath = (home: Home): string => join(home.dir, 'log-given-up');
/** Each file in it asks for all that was acknowledged to be saved. The follower removes it when that is done. */
export const flushRoot = (home: Home): string => join(home.dir, 'log-flush');

export const readLogNext = (home: Home): Promise<LogNext | undefined> =>
  readRecordFile(logNextPath(home), nextSchema);
export const readLogReady = (home: Home): Promise<LogReady | undefined> =>
  readRecordFile(logReadyPath(home), readySchema);
export const readLogShipped = (home: Home): Promise<LogShipped | undefined> =>
  readRecordFile(logShippedPath(home), shippedSchema);

/**
 * Whether a segment behind a snapshot is known to be of this store, by who wrote it. It may have died before it recorded the segment, or that it
 * goes on behind that snapshot.
 */
export async function isOwnSegment(
  home: Home,
  { snapshot, writer }: { readonly snapshot: string; readonly writer: string },
): Promise<boolean> {
  if ((await readLogShipped(home))?.writer === writer) return true;
  const ready = await readLogReady(home);
  return ready?.snapshot === snapshot && ready.writer === writer;
}

export const isLogGivenUp = (home: Home): Promise<boolean> =>
  stat(logGivenUpPath(home)).then(
    () => true,
    () => false,
  );

export const giveUpLog = (fs: FileSystem, home: Home): Promise<void> =>
  writeFileAtomic(fs, logGivenUpPath(home), '');

/** How far the store is in the log of a snapshot. What was given up before is of no interest any more. */
export async function writeLogShipped(fs: FileSystem, home: Home, shipped: LogShipped): Promise<void> {
  await writeLogFile(fs, logShippedPath(home), shipped);
  await fs.remove(logGivenUpPath(home));
}

export async function writeLogFile(
  fs: FileSystem,
  path: string,
  content: LogNext | LogReady | LogShipped,
): Promise<void> {
  await writeFileAtomic(fs, path, `${JSON.stringify(content)}\n`);
}
