import * as z from 'zod';
import { contradiction } from './contradiction.ts';
import type { Contradictory } from './contradiction.ts';
import { isSnapshotId, pathProblem } from './layout.ts';
import { positionSchema } from './segments/position.ts';

/** Longest host name, or other short text for people, in UTF-16 units. */
export const longestLabel = 1024;

/** Longest text of a problem, characters. */
const longestText = 10_000;

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const snapshotId = z.string().refine(isSnapshotId, 'is not a snapshot id');
const storePath = z.string().superRefine((path, context) => {
  const problem = pathProblem(path);
  if (problem !== undefined)
    context.addIssue({ code: 'custom', message: `path ${JSON.stringify(path)} ${problem}` });
});
const label = z.string().max(longestLabel);
/** What a person called a snapshot. Absent if nobody named it. */
const snapshotLabel = label.optional();
/** The server's time of the snapshot's first commit. Present if it was committed again; else the time of its commit object counts. */
const committedAt = z.iso.datetime();
/** The epoch of the lease under which a snapshot was committed. Absent if it is 0: no host had a lease. */
const epoch = count.min(1);

/** Where a snapshot was copied from. Absent if it was made in this remote. */
const copied = z.object({
  /** That remote, without a credential. */
  from: label,
  /** Its rank there. */
  generation: count.min(1),
  epoch: epoch.optional(),
});

const fileSchema = z.object({
  path: storePath,
  /** Bytes. */
  size: count,
  sha256,
  /** Permission bits. */
  mode: count.max(0o777),
  /** Milliseconds since the epoch. */
  mtimeMs: z.number().min(-8.64e15).max(8.64e15),
});

/** SHA-256 of what is in a file, part by part. */
const partsSchema = z.object({
  /** Bytes of each part but the last, which has the rest. */
  bytes: count.min(1),
  sha256: z.array(sha256),
});

const plainFileSchema = fileSchema.extend({
  /** The older snapshot whose history directory holds the bytes. Absent if it is this snapshot's own. */
  in: snapshotId.optional(),
  /**
   * For the next backup, which need not send a part that is still the same, and for a restore, which checks each part as it comes. Absent
   * if nobody has looked at parts.
   */
  parts: partsSchema.optional(),
});

const directorySchema = z.object({
  path: storePath,
  /** Permission bits. */
  mode: count.max(0o777),
});

const collectionSchema = z.object({
  id: label,
  name: label,
  tenant: label,
  database: label,
  records: count,
  dimension: count.nullable(),
});

/** See `Problem` in stores/adapter.ts. */
const problemSchema = z.object({
  /** A newer version may have written a kind that is unknown here. It is shown as it is. */
  kind: z.string().max(longestLabel),
  where: z.string().max(longestText),
  message: z.string().max(longestText),
  remedy: z.string().max(longestText).optional(),
});

/** One line of the log that every commit carries: the live snapshots as of that commit. */
const logEntrySchema = z.object({
  generation: count.min(1),
  id: snapshotId,
  parent: snapshotId.nullable(),
  createdAt: z.iso.datetime(),
  host: label,
  bytes: count,
  records: count,
  /** The snapshot needs objects in directories of older snapshots. */
  linked: z.boolean().optional(),
  committedAt: committedAt.optional(),
  epoch: epoch.optional(),
  label: snapshotLabel,
  /** The number of findings in its manifest. Absent if there are none. */
  findings: count.min(1).optional(),
  /** Writes after the snapshot may be in its log. */
  logged: z.literal(true).optional(),
  /** The store was damaged, and a person insisted on the commit. A restore takes it only if it is named. */
  damaged: z.literal(true).optional(),
  copied: copied.optional(),
});

/** A snapshot that retention must not drop. */
const pinSchema = z.object({
  id: snapshotId,
  /** The reason that the user gave. May be empty. */
  reason: label,
  /** When it was pinned, by the clock of that host. */
  at: z.iso.datetime(),
  host: label,
  /** When it ends, by the server's clock. Absent: it lasts until somebody removes it. */
  until: z.iso.datetime().optional(),
});

const aboutSnapshot = {
  id: snapshotId,
  generation: count.min(1),
  parent: snapshotId.nullable(),
  /** The captured instant, by the host's clock. */
  createdAt: z.iso.datetime(),
  committedAt: committedAt.optional(),
  /** Identifies the attempt: a host whose answer was lost recognises its own commit by it. */
  uploadId: z.string().regex(/^[0-9a-f]{32}$/),
  host: label,
  agent: label,
  label: snapshotLabel,
  /** The kind of store. Newer versions may know more of them. */
  adapter: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/),
  /** The files that are SQLite databases and that the backup checked. Older versions did not say. */
  databases: z.array(storePath).optional(),
};

const aboutTree = {
  emptyDirectories: z.array(storePath),
  /** Permission bits of the store itself. */
  mode: count.max(0o777).optional(),
  /** All directories of the store, for their permissions. */
  directories: z.array(directorySchema).optional(),
  statistics: z.object({ records: count, collections: z.array(collectionSchema).optional() }),
  /** Milliseconds for which the store's writers were held back: the sum, and the longest time without a break. */
  stall: z.object({ heldMs: z.number().nonnegative(), longestHoldMs: z.number().nonnegative() }),
  epoch: epoch.optional(),
  copied: copied.optional(),
  /**
   * When the full-text indexes are to be compared with their texts again. Present if they were not, for this snapshot; else the
   * snapshot's own day counts.
   */
  fullTextDueAt: z.iso.datetime().optional(),
  /** Where the store stood in its own log of writes. Present if what was written since may be in the snapshot's log. */
  position: positionSchema.optional(),
  /** The agent whose checks found the content sound before the commit. Older versions did not say. */
  checkedBy: label.optional(),
  /** Problems that put no record at risk. Absent if there are none. */
  findings: z.array(problemSchema).optional(),
  /** Problems that made the store unsound, if a person insisted on the commit. */
  damage: z.array(problemSchema).optional(),
};

const aboutLog = {
  /** The other snapshots that are live as of this commit. Their generations ascend, and are all below this one's. */
  log: z.array(logEntrySchema),
  /** Tips that a person declared settled. They are no longer reported, and retention may drop them. */
  resolved: z.array(snapshotId),
  /** Live snapshots that stay until they are unpinned. Absent if there are none. */
  pins: z.array(pinSchema).optional(),
};

/** Format 1: a file's bytes are one object, and `in` says whose. */
const plainSchema = z
  .object({
    format: z.literal(1),
    ...aboutSnapshot,
    files: z.array(plainFileSchema),
    ...aboutTree,
    ...aboutLog,
  })
  .superRefine(refuseContradiction);

/** Any later format: what it needs to find the bytes is in `content`, which only its own code reads. */
const laterSchema = z
  .object({
    format: count.min(2),
    ...aboutSnapshot,
    files: z.array(fileSchema),
    ...aboutTree,
    content: z.record(z.string(), z.unknown()),
    /** The snapshot needs objects of older snapshots' directories. */
    linked: z.literal(true).optional(),
    ...aboutLog,
  })
  .superRefine(refuseContradiction);

type Later = Pick<z.infer<typeof laterSchema>, 'content' | 'linked'>;

/** `content` and `linked` are absent in format 1, `in` and `parts` of its files are absent in all others. */
export type Manifest = Omit<z.infer<typeof plainSchema>, 'format'> & Partial<Later> & { format: number };
export type ManifestFile = z.infer<typeof plainFileSchema>;
export type ManifestDirectory = z.infer<typeof directorySchema>;
export type RecordedProblem = z.infer<typeof problemSchema>;
export type Pin = z.infer<typeof pinSchema>;
export type LogEntry = z.infer<typeof logEntrySchema>;

/** Parsing makes a copy, which is garbage at once if there are few files in it. */
const filesAtOnce = 1000;

/** Why `decodeManifest` would refuse this manifest; undefined if it would not. */
export function manifestProblem(manifest: Manifest): string | undefined {
  const schema = schemaOf(manifest.format);
  const { files } = manifest;
  const parsed = schema.safeParse({ ...manifest, files: [] });
  if (!parsed.success) return firstProblem(parsed.error);
  for (let start = 0; start < files.length; start += filesAtOnce) {
    const some = schema.shape.files.safeParse(files.slice(start, start + filesAtOnce));
    if (!some.success) return `files from ${start}: ${firstProblem(some.error)}`;
  }
  return contradiction(manifest);
}

export const schemaOf = (format: number): typeof plainSchema | typeof laterSchema =>
  format > 1 && Number.isInteger(format) ? laterSchema : plainSchema;

export function logEntryOf(manifest: Manifest): LogEntry {
  return {
    generation: manifest.generation,
    id: manifest.id,
    parent: manifest.parent,
    createdAt: manifest.createdAt,
    host: manifest.host,
    bytes: totalBytes(manifest.files),
    records: manifest.statistics.records,
    ...(manifest.linked === true || manifest.files.some((file) => file.in !== undefined)
      ? { linked: true }
      : {}),
    ...(manifest.committedAt === undefined ? {} : { committedAt: manifest.committedAt }),
    ...(manifest.epoch === undefined ? {} : { epoch: manifest.epoch }),
    ...(manifest.label === undefined ? {} : { label: manifest.label }),
    ...(manifest.findings?.length ? { findings: manifest.findings.length } : {}),
    ...(manifest.damage === undefined ? {} : { damaged: true as const }),
    ...(manifest.copied === undefined ? {} : { copied: manifest.copied }),
    ...(manifest.position === undefined ? {} : { logged: true as const }),
  };
}

/** A name as a manifest can hold it: one that is too long is cut and ends in an ellipsis. */
export function labelOf(name: string): string {
  return name.length <= longestLabel ? name : `${name.slice(0, longestLabel - 1)}…`;
}

/** When a pin ends that is made now and lasts for a time. `now`: by the server's clock. */
export function endOfPin(now: Date, forMs: number): string {
  return new Date(now.getTime() + forMs).toISOString();
}

/** The pins that a commit carries and that have not ended, by snapshot id. `now`: by the server's clock. */
export function pinsOf(manifest: Manifest | undefined, now: Date): ReadonlyMap<string, Pin> {
  const pins = (manifest?.pins ?? []).filter(
    ({ until }) => until === undefined || Date.parse(until) > now.getTime(),
  );
  return new Map(pins.map((pin) => [pin.id, pin]));
}

export function totalBytes(files: readonly { readonly size: number }[]): number {
  return files.reduce((sum, file) => sum + file.size, 0);
}

/** The first thing that a schema refused, as the end of a sentence. */
export function firstProblem({ issues: [issue] }: z.ZodError): string {
  return `${issue?.path.map(String).join('.') ?? ''} ${issue?.message ?? 'has the wrong form'}`.trim();
}

function refuseContradiction(manifest: Contradictory, context: z.RefinementCtx): void {
  const problem = contradiction(manifest);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
}
