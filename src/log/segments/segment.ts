import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import * as z from 'zod';
import { SyncAgentError, messageOf } from '../../platform/errors.ts';
import { isSnapshotId } from '../layout.ts';
import { firstProblem, longestLabel } from '../manifest.ts';
import { positionSchema } from './position.ts';

const segmentFormat = 1;
/** Of the text, before it is compressed. A segment is written create-only, in one piece of 8 MiB at most. */
export const maxSegmentText = 6 * 1024 * 1024;
/** What a reader takes: one operation may be large. */
const readableText = 64 * 1024 * 1024;
const checksumLineBytes = JSON.stringify({ sha256: '0'.repeat(64) }).length + 1;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);

const headSchema = z.object({
  format: z.literal(segmentFormat),
  snapshot: z.string().refine(isSnapshotId, 'is not a snapshot id'),
  number: count.min(1),
  /** The checksum of the segment before. Null for the first. */
  previous: sha256.nullable(),
  /** Names the writer's attempt: 32 random hexadecimal digits. */
  writer: z.string().regex(/^[0-9a-f]{32}$/),
  host: z.string().max(longestLabel),
  agent: z.string().max(longestLabel),
  epoch: count.min(1).optional(),
  from: positionSchema,
  to: positionSchema,
  /** The store counts on from this number. Its operations above it went with collections that were deleted. Absent if it went on. */
  cutTo: count.optional(),
  operations: count,
  /** The snapshot that goes on from here: nobody may go on with this log. Absent but in the last segment. */
  closedBy: z.string().refine(isSnapshotId, 'is not a snapshot id').optional(),
  /** When the first and the last operation were read, by the host's clock. For people, and for restores to a moment. */
  readAt: z.object({ first: z.iso.datetime(), last: z.iso.datetime() }),
});

export type SegmentHead = z.infer<typeof headSchema>;

/** A piece of the log. `lines` are those of the store's kind: operations begin with a bracket, the rest with a brace. */
export interface Segment {
  readonly head: SegmentHead;
  readonly lines: readonly string[];
  /** SHA-256 of the head and the lines. */
  readonly checksum: string;
}

/**
 * A segment as it is stored: JSON Lines, compressed by gzip. The first line is the head, the last one the SHA-256 of all text before it.
 * UNSUPPORTED if no reader would take it.
 */
export async function encodeSegment(
  head: Omit<SegmentHead, 'format'>,
  lines: readonly string[],
): Promise<{ readonly bytes: Buffer; readonly checksum: string }> {
  const text = [JSON.stringify({ format: segmentFormat, ...head }), ...lines, ''].join('\n');
  const content = Buffer.from(text);
  const size = content.byteLength + checksumLineBytes;
  if (size > readableText)
    throw new SyncAgentError(
      'UNSUPPORTED',
      `Cannot write segment ${head.number} of snapshot ${head.snapshot}: one write of ${size} bytes is too large for a log`,
    );
  const checksum = createHash('sha256').update(content).digest('hex');
  const whole = Buffer.concat([content, Buffer.from(`${JSON.stringify({ sha256: checksum })}\n`)]);
  const bytes = await promisify(gzip)(whole, { level: 1, memLevel: 9, chunkSize: 256 * 1024 });
  return { bytes, checksum };
}

/** Undefined for what is no JSON, and so no head. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** SNAPSHOT_CORRUPT, and TOO_NEW, name `key`. */
export async function decodeSegment(bytes: Uint8Array, key: string): Promise<Segment> {
  const fail = (why: string, cause?: unknown): SyncAgentError =>
    new SyncAgentError('SNAPSHOT_CORRUPT', `Cannot read the log segment "${key}": ${why}`, { cause });
  let text: string;
  try {
    text = (await promisify(gunzip)(bytes, { maxOutputLength: readableText })).toString('utf8');
  } catch (error) {
    throw fail(messageOf(error), error);
  }
  const end = text.lastIndexOf('\n', text.length - 2) + 1;
  const body = text.slice(0, end);
  const checksum = createHash('sha256').update(body).digest('hex');
  if (text.slice(end) !== `${JSON.stringify({ sha256: checksum })}\n`) throw fail('its checksum is wrong');
  const [first = '', ...lines] = body.slice(0, -1).split('\n');
  const raw = parsed(first);
  const format = z.object({ format: z.number() }).safeParse(raw);
  if (format.success && format.data.format > segmentFormat) {
    throw new SyncAgentError(
      'TOO_NEW',
      `Cannot read the log segment "${key}": it has format ${format.data.format}`,
      {
        remedy: 'Install the newest sync-agent on this host',
      },
    );
  }
  const head = headSchema.safeParse(raw);
  if (!head.success) throw fail(firstProblem(head.error));
  const operations = lines.filter((line) => line.startsWith('[')).length;
  const { from, to, cutTo = from.number } = head.data;
  if (operations !== head.data.operations || to.number - cutTo !== operations || cutTo > from.number)
    throw fail(`it holds ${operations} operations, not those from ${cutTo + 1} to ${to.number}`);
  return { head: head.data, lines, checksum };
}
