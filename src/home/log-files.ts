import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import type { FileSystem } from '../platform/file-system.ts';
import { writeFileAtomic } from '../platform/file-system.ts';
import { positionSchema } from '../log/segments/position.ts';
import type { Home } from './home.ts';

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
/** `isReady` is false if the follower has not read all that came after. */
const readySchema = z.object({ snapshot: z.string(), isReady: z.boolean() });
/** Up to where the store's own writes are known to be in the log of a snapshot. */
const shippedSchema = z.object({
  snapshot: z.string(),
  /** Of the last segment; 0: none. */
  number: z.number().int().nonnegative(),
  position: positionSchema,
  /** A person took the store back to this moment: what the log has after it was given up. */
  isChosen: z.boolean().optional(),
});

export type LogNext = z.infer<typeof nextSchema>;
export type LogReady = z.infer<typeof readySchema>;
export type LogShipped = z.infer<typeof shippedSchema>;

export const logNextPath = (home: Home): string => join(home.dir, 'log-next.json');
export const logReadyPath = (home: Home): string => join(home.dir, 'log-ready.json');
export const logShippedPath = (home: Home): string => join(home.dir, 'log-shipped.json');
/** Each file in it asks for all that was acknowledged to be saved. The follower removes it when that is done. */
export const flushRoot = (home: Home): string => join(home.dir, 'log-flush');

export const readLogNext = (home: Home): Promise<LogNext | undefined> =>
  readJson(logNextPath(home), nextSchema);
export const readLogReady = (home: Home): Promise<LogReady | undefined> =>
  readJson(logReadyPath(home), readySchema);
export const readLogShipped = (home: Home): Promise<LogShipped | undefined> =>
  readJson(logShippedPath(home), shippedSchema);

export async function writeLogFile(
  fs: FileSystem,
  path: string,
  content: LogNext | LogReady | LogShipped,
): Promise<void> {
  await writeFileAtomic(fs, path, `${JSON.stringify(content)}\n`);
}

/** Undefined if there is none, or if it is damaged: nothing relies on these files alone. */
async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    const parsed = schema.safeParse(JSON.parse(await readFile(path, 'utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
