import * as z from 'zod';
import type { FileSystem } from '../../platform/file-system.ts';
import { writeFileAtomic } from '../../platform/file-system.ts';
import type { Home } from '../home.ts';
import { readRecordFile, recordPath } from './record-file.ts';

const recordSchema = z.object({
  format: z.literal(1),
  /** The file that was read last of those that were not in `verified`. */
  last: z.object({ generation: z.number(), path: z.string() }).nullable(),
  /** When a file's bytes in the remote were last read and found right: seconds since the epoch, by the id of these bytes. */
  verified: z.record(z.string(), z.number()),
});

/** What this host knows of the bytes in one remote. If it is lost, all are read again in time. */
export interface VerifiedRecord {
  readonly last: z.infer<typeof recordSchema>['last'];
  readonly verified: ReadonlyMap<string, number>;
}

/** Some 3 MB of JSON. What was read longest ago is forgotten first: it is next in turn in any case. */
export const mostVerified = 100_000;

export async function readVerified(home: Home, remoteId: string): Promise<VerifiedRecord> {
  const read = await readRecordFile(recordPath(home, 'verified', remoteId), recordSchema);
  return { last: read?.last ?? null, verified: new Map(Object.entries(read?.verified ?? {})) };
}

export async function writeVerified(
  fs: FileSystem,
  { home, remoteId, most = mostVerified }: { home: Home; remoteId: string; most?: number | undefined },
  { last, verified }: VerifiedRecord,
): Promise<void> {
  const newest = [...verified].toSorted(([, a], [, b]) => b - a).slice(0, most);
  await fs.makeDirectory(home.dir);
  const text = JSON.stringify({ format: 1, last, verified: Object.fromEntries(newest) });
  await writeFileAtomic(fs, recordPath(home, 'verified', remoteId), text);
}
