import * as z from 'zod';
import { isSnapshotId } from '../../log/layout.ts';
import { longestLabel } from '../../log/manifest.ts';
import type { Manifest } from '../../log/manifest.ts';

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const label = z.string().max(longestLabel);

const noteSchema = z.object({
  archive: z.literal(1),
  id: z.string().refine(isSnapshotId),
  /** The captured instant. */
  createdAt: z.iso.datetime(),
  /** When the archive was written. */
  archivedAt: z.iso.datetime(),
  /** What it was taken from. */
  source: z.enum(['store', 'snapshot']),
  host: label,
  /** Path of the store on that host. */
  store: z.string().max(10_000),
  files: count,
  bytes: count,
  agent: label,
});

/** What an archive says of itself in its comment, which can be read without a password. */
export type ArchiveNote = z.infer<typeof noteSchema>;

const mark = 'sync-agent archive ';

export function noteOf(
  { id, createdAt, files }: Manifest,
  about: Pick<ArchiveNote, 'source' | 'host' | 'store' | 'agent' | 'archivedAt'>,
): ArchiveNote {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return { archive: 1, id, createdAt, ...about, files: files.length, bytes };
}

export function encodeNote(note: ArchiveNote): string {
  return mark + JSON.stringify(note);
}

/** Undefined for a comment that is not ours. `newer`: a newer version wrote it. */
export function decodeNote(comment: string): ArchiveNote | 'newer' | undefined {
  if (!comment.startsWith(mark)) return undefined;
  let raw: unknown;
  try {
    raw = JSON.parse(comment.slice(mark.length));
  } catch {
    return undefined;
  }
  const header = z.object({ archive: z.number().int().min(2) }).safeParse(raw);
  if (header.success) return 'newer';
  const parsed = noteSchema.safeParse(raw);
  return parsed.success ? parsed.data : undefined;
}
