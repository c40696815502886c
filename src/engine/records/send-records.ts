import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import type {
  CollectionDescription,
  CollectionPlace,
  RecordTarget,
  SourceRecord,
} from '../../stores/record-source.ts';
import type { MemoryGuard } from '../writing/memory-guard.ts';
import { fixedPace } from '../writing/pace.ts';
import type { Pace } from '../writing/pace.ts';
import { sendBatch } from './send-batch.ts';
import type { BatchResult, BegunRecord, NamedRecord, RecordProblem, Sending } from './send-batch.ts';

export interface SendOptions {
  /** Replaces records that are there and differ. */
  readonly overwrite?: boolean | undefined;
  /** Goes on after a record that cannot be sent. */
  readonly keepGoing?: boolean | undefined;
}

/** What became of the records of one collection. */
export interface SentCollection extends CollectionPlace {
  readonly added: number;
  /** Were there already. */
  readonly equal: number;
  readonly overwritten: number;
  readonly problems: readonly RecordProblem[];
  /** The largest difference that the server's rounding made, by the length of its vector. 0 unless the collection is a cosine one. */
  readonly rounding: number;
}

/** How a call sends. What is left out is that of an import. */
export interface SendingOptions extends SendOptions, Pick<Sending, 'signal'> {
  readonly verb?: Sending['verb'] | undefined;
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
  readonly onSent: (count: number) => void;
  /** Given the most records that the server takes at once. */
  readonly paceFor?: ((most: number) => Pace) | undefined;
  /** Asked before each batch. */
  readonly guard?: MemoryGuard | undefined;
  /** Told after each batch which ids this run brought into the collection, and after a failure which it may have brought there. */
  readonly onAdded?:
    ((collection: CollectionDescription, records: readonly SourceRecord[]) => void) | undefined;
}

/** Of a request: its records, and their size in memory. Larger ones are hardly faster, and cost both sides memory. */
const maxRecords = 100;
export const maxRequestBytes = 2 ** 20;
/** A server that lets so many batches in a row run into the deadline does not work any more. */
const maxTimeouts = 3;

/**
 * Brings records into a collection of a running server, which is made like `like` if it is missing, and reads each back. Another run
 * goes on where one stopped: the collection itself says what is there. REFUSED if it compares vectors in another way, or has others of
 * that id.
 */
export async function sendRecords(
  target: RecordTarget,
  place: CollectionPlace,
  like: CollectionDescription | undefined,
  records: AsyncIterable<NamedRecord>,
  options: SendingOptions,
): Promise<SentCollection> {
  const { signal, onSent, now, guard, onAdded, verb = 'import' } = options;
  const most = await target.maxBatch(signal);
  const pace = options.paceFor?.(most) ?? fixedPace(Math.min(maxRecords, most), maxRequestBytes);
  const present = await target.find(place, signal);
  if (present !== undefined) assertAlike(target, present, like);
  const collection = present ?? (await target.create(place, like, signal));
  const begun = new Map<string, BegunRecord>();
  const { overwrite = false, keepGoing = false } = options;
  const sending = { target, collection, overwrite, keepGoing, signal, begun, verb };
  const sum = { added: 0, equal: 0, overwritten: 0, rounding: 0 };
  const problems: RecordProblem[] = [];
  /** Nothing can be there yet. */
  let isFresh = (await target.count(collection, signal)) === 0;
  let timeouts = 0;

  const attempt = async (batch: readonly NamedRecord[]): Promise<readonly BatchResult[]> => {
    await guard?.pass(signal);
    const startMs = now();
    try {
      const result = await sendBatch({ ...sending, isFresh }, batch);
      pace.took(batch.length, now() - startMs);
      timeouts = 0;
      return [result];
    } catch (error) {
      if (!isSyncAgentError(error) || !error.timedOut) throw error;
      timeouts += 1;
      if (batch.length === 1 || timeouts >= maxTimeouts) throw error;
      // It may have arrived all the same.
      isFresh = false;
      pace.tooSlow(batch.length);
      const middle = Math.ceil(batch.length / 2);
      return [...(await attempt(batch.slice(0, middle))), ...(await attempt(batch.slice(middle)))];
    }
  };
  const send = async (batch: readonly NamedRecord[]): Promise<void> => {
    let results: readonly BatchResult[];
    try {
      results = await attempt(batch);
    } finally {
      onAdded?.(
        collection,
        [...begun.values()].flatMap(({ record, isNew }) => (isNew ? [record] : [])),
      );
      begun.clear();
    }
    for (const result of results) {
      sum.added += result.added;
      sum.equal += result.equal;
      sum.overwritten += result.overwritten;
      sum.rounding = Math.max(sum.rounding, result.rounding);
      problems.push(...result.problems);
    }
    onSent(batch.length);
  };
  let batch: NamedRecord[] = [];
  let bytes = 0;
  const seen = new Set<string>();
  for await (const each of records) {
    const { id } = each.record;
    // What comes twice is compared with what was sent.
    const isTwice = seen.has(id);
    if (isTwice || batch.length >= pace.records() || bytes >= pace.bytes) {
      await send(batch);
      [batch, bytes] = [[], 0];
      isFresh &&= !isTwice;
    }
    batch.push(each);
    seen.add(id);
    bytes += sizeOf(each);
  }
  if (batch.length > 0) await send(batch);
  const { tenant, database, name } = place;
  return { tenant, database, name, ...sum, problems };
}

const sizeOf = ({ record }: NamedRecord): number =>
  (record.embedding?.length ?? 0) * 10 + (record.document?.length ?? 0) + (record.metadata?.length ?? 0);

function assertAlike(
  target: RecordTarget,
  present: CollectionDescription,
  like: CollectionDescription | undefined,
): void {
  for (const [what, theirs, ours] of [
    ['compares vectors by', present.space, like?.space ?? null],
    ['has the dimension', present.dimension, like?.dimension ?? null],
  ] as const) {
    if (theirs === null || ours === null || theirs === ours) continue;
    throw new SyncAgentError(
      'REFUSED',
      `Cannot import into collection "${present.name}" of "${target.url}": it ${what} ${theirs}, the records need ${ours}`,
      { remedy: 'Import under another name with --as' },
    );
  }
}
