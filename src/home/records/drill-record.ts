import * as z from 'zod';
import type { FileSystem } from '../../platform/file-system.ts';
import { writeFileAtomic } from '../../platform/file-system.ts';
import type { Home } from '../home.ts';
import { readRecordFile, recordPath } from './record-file.ts';

const recordSchema = z.object({
  format: z.literal(1),
  last: z.object({
    /** When it ended, milliseconds since the epoch, as all times here. */
    atMs: z.number(),
    passed: z.boolean(),
    /** Null if the remote had no list of snapshots. */
    snapshot: z.string().nullable(),
    /** Why that one. */
    chosen: z.enum(['named', 'newest', 'least-recent']),
    records: z.number(),
    /** In sentences, the first ones. */
    problems: z.array(z.string()),
    /** What a restore would do instead, as a sentence; null after a drill that passed. */
    recovery: z.string().nullable(),
    /** `none`: no server was tried. */
    server: z.enum(['answered', 'failed', 'none']),
    tookMs: z.number(),
  }),
  /** When a drill last passed. */
  passedAtMs: z.number().nullable(),
  /** When each live snapshot was last drilled, by its id. */
  drilled: z.record(z.string(), z.number()),
});

/** What this host remembers of its drills of one remote. If it is lost, the next drill is due. */
export type DrillRecord = Omit<z.infer<typeof recordSchema>, 'format'>;

/** The record of the remote at `location`. Undefined if there is none that can be read. */
export async function readDrillRecord(home: Home, location: string): Promise<DrillRecord | undefined> {
  const read = await readRecordFile(recordPath(home, 'drills', location), recordSchema);
  if (read === undefined) return undefined;
  const { format: _, ...record } = read;
  return record;
}

export async function writeDrillRecord(
  fs: FileSystem,
  { home, location }: { readonly home: Home; readonly location: string },
  record: DrillRecord,
): Promise<void> {
  await fs.makeDirectory(home.dir);
  await writeFileAtomic(
    fs,
    recordPath(home, 'drills', location),
    `${JSON.stringify({ format: 1, ...record }, null, 1)}\n`,
  );
}
