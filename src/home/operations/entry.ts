import * as z from 'zod';

/** What the log is about: whatever changes the store, a remote, or what is theirs. */
export type LoggedOperation =
  | 'backup'
  | 'restore'
  | 'sync'
  | 'repair'
  | 'maintain'
  | 'rollback'
  | 'restore-archive'
  | 'rebuild'
  | 'protect'
  | 'copy'
  | 'prune'
  | 'clear-history'
  | 'pin'
  | 'unpin'
  | 'repair-remote'
  | 'drill'
  | 'import'
  | 'index'
  | 'analyze'
  | 'restore-collection'
  | 'merge'
  | 'acquire-lease'
  | 'renew-lease'
  | 'release-lease';

const id = z.string().min(1).max(64);
const text = z.string().max(4096);
const snapshot = z.string().max(128).nullable();

const common = {
  /** The same in both entries of an operation. */
  id,
  /** ISO 8601, by this host's clock. */
  at: z.iso.datetime(),
  /** Newer versions may know more of them. */
  operation: z.string().min(1).max(64),
  /** What a person called the work. */
  name: text.optional(),
};

/** Written before the work begins. */
const beginSchema = z.object({
  event: z.literal('begin'),
  ...common,
  /** The operation within which this one was done. */
  within: id.optional(),
  host: text,
  user: text,
  pid: z.number().int(),
  /** Tells this process from a later one with the same pid. Absent where the system does not say. */
  process: text.optional(),
  /** The program that asked for it, without arguments, which may hold secrets. */
  program: text,
  /** The snapshot that the store was last equal to, or grew from; null if nobody knows. */
  before: snapshot,
});

/** Written after it, whether it succeeded or failed. */
const endSchema = z.object({
  event: z.literal('end'),
  ...common,
  /** The `type` of the result; `failed`, or `killed` if another operation found that its process is gone. */
  outcome: text,
  /** As `before`, after the work. */
  after: snapshot,
  tookMs: z.number().nonnegative(),
  error: z.object({ code: text, message: text }).optional(),
  /** The snapshot that it is about: made, pinned, restored or found. */
  snapshot: z.string().max(128).optional(),
  /** Snapshots that are gone. */
  dropped: z.array(z.string().max(128)).optional(),
  /** How many are gone, if that is more than `dropped` has. */
  droppedCount: z.number().int().optional(),
  /** The copy of the store that was replaced. */
  rollbackCopy: z.string().max(128).optional(),
  /** Of the lease that was taken. */
  epoch: z.number().optional(),
  /** In what a backup was far beyond those before it. */
  unusual: z.array(text).optional(),
  /** Whether the store was checked afterwards, and found sound. Absent if it was not checked. */
  isSound: z.boolean().optional(),
});

const entrySchema = z.discriminatedUnion('event', [beginSchema, endSchema]);

export type BeginEntry = z.infer<typeof beginSchema>;
export type EndEntry = z.infer<typeof endSchema>;
export type OperationEntry = z.infer<typeof entrySchema>;

/** How many of the snapshots that are gone an entry names. */
const namedDropped = 100;

/** One line without its end, however long the facts are. */
export function encodeEntry(entry: OperationEntry): string {
  const dropped = entry.event === 'end' ? entry.dropped : undefined;
  const short: OperationEntry =
    entry.event === 'end' && dropped !== undefined && dropped.length > namedDropped
      ? { ...entry, dropped: dropped.slice(0, namedDropped), droppedCount: dropped.length }
      : entry;
  return JSON.stringify(short, (_, value: unknown) =>
    typeof value === 'string' && value.length > 2000 ? `${value.slice(0, 1999)}…` : value,
  );
}

/** Undefined if the line was cut, or is none of ours. */
export function decodeEntry(line: string): OperationEntry | undefined {
  try {
    const parsed = entrySchema.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
