import { SyncAgentError } from '../../platform/errors.ts';
import type { CollectionDescription, CollectionPlace, RecordTarget } from '../../stores/record-source.ts';
import { sendBatch } from './send-batch.ts';
import type { NamedRecord, RecordProblem, Sending } from './send-batch.ts';

export interface SendOptions {
  /** Replaces records that are there and differ. */
  readonly overwrite?: boolean | undefined;
  /** Goes on after a record that cannot be imported. */
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

/** Of a request: its records, and their size in memory. */
const maxRecords = 100;
const maxBytes = 2 ** 20;

/**
 * Brings records into a collection of a running server, which is made like `like` if it is missing, and reads each back. Another run
 * goes on where one stopped. REFUSED if the collection compares vectors in another way, or has others of that id.
 */
export async function sendRecords(
  target: RecordTarget,
  place: CollectionPlace,
  like: CollectionDescription | undefined,
  records: AsyncIterable<NamedRecord>,
  options: SendOptions & Pick<Sending, 'signal'> & { readonly onSent: (count: number) => void },
): Promise<SentCollection> {
  const { signal, onSent } = options;
  const limit = Math.min(maxRecords, await target.maxBatch(signal));
  const present = await target.find(place, signal);
  if (present !== undefined) assertAlike(target, present, like);
  const collection = present ?? (await target.create(place, like, signal));
  const sending: Sending = {
    target,
    collection,
    isFresh: (await target.count(collection, signal)) === 0,
    overwrite: options.overwrite === true,
    keepGoing: options.keepGoing === true,
    signal,
  };
  const sum = { added: 0, equal: 0, overwritten: 0, rounding: 0 };
  const problems: RecordProblem[] = [];
  let isFresh = sending.isFresh;
  const send = async (batch: readonly NamedRecord[]): Promise<void> => {
    const result = await sendBatch({ ...sending, isFresh }, batch);
    sum.added += result.added;
    sum.equal += result.equal;
    sum.overwritten += result.overwritten;
    sum.rounding = Math.max(sum.rounding, result.rounding);
    problems.push(...result.problems);
    onSent(batch.length);
  };
  let batch: NamedRecord[] = [];
  let bytes = 0;
  const seen = new Set<string>();
  for await (const each of records) {
    const { id } = each.record;
    // What comes twice is compared with what was sent.
    const isTwice = seen.has(id);
    if (isTwice || batch.length >= limit || bytes >= maxBytes) {
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
