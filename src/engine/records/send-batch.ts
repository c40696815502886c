import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import type { CollectionDescription, RecordTarget, SourceRecord } from '../../stores/record-source.ts';
import { droppedKeys, updatingMetadata } from './record-line.ts';
import { cosineRounding, differingParts, vectorDistance } from './same-record.ts';

/** A record on its way, and where it comes from, for people: `line 12 of "a.jsonl"`. */
export interface NamedRecord {
  readonly record: SourceRecord;
  readonly where: string;
}

export interface BatchResult {
  readonly added: number;
  /** Was there already. */
  readonly equal: number;
  readonly overwritten: number;
  readonly problems: readonly RecordProblem[];
  /** The largest difference that rounding made, by the length of its vector. */
  readonly rounding: number;
}

export interface RecordProblem {
  readonly where: string;
  readonly id: string | null;
  /** One sentence without a final period. */
  readonly message: string;
}

export interface BegunRecord {
  readonly record: SourceRecord;
  /** No record of that id was there before. */
  readonly isNew: boolean;
}

export interface Sending {
  readonly target: RecordTarget;
  readonly collection: CollectionDescription;
  /** Nothing can be there yet. */
  readonly isFresh: boolean;
  readonly overwrite: boolean;
  /** What is wrong with single records is a problem, instead of an error. */
  readonly keepGoing: boolean;
  readonly signal: AbortSignal | undefined;
  /** What an attempt began to send, by id: another attempt may find it there, or an old one gone. */
  readonly begun: Map<string, BegunRecord>;
  /** Starts a message: `Cannot import`. */
  readonly verb: 'import' | 'index';
}

/**
 * Brings some records into a collection, each id once among them, and reads them back. What is there and equal is not sent again. A record
 * that is there and differs is REFUSED, unless it may be overwritten: then it is changed in place. Only one that loses what an update cannot
 * take away is deleted first: its document, its uri, for some clients keys of its metadata. If the new one does not get there, the old one
 * is put back. If the server is gone in between, it is missing, and the next run adds the new one. Every request can be repeated.
 */
export async function sendBatch(sending: Sending, batch: readonly NamedRecord[]): Promise<BatchResult> {
  const { target, collection, isFresh, overwrite, keepGoing, signal, begun } = sending;
  const problems: RecordProblem[] = [];
  const blame = ({ record, where }: NamedRecord, message: string, code: 'REFUSED' | 'USAGE'): void => {
    if (!keepGoing) throw refusal(sending, { record, where }, message, code);
    problems.push({ where, id: record.id, message });
  };

  const there = isFresh
    ? new Map<string, SourceRecord>()
    : byId(await target.byIds(collection, idsOf(batch), signal));
  const toAdd: NamedRecord[] = [];
  const toUpdate: NamedRecord[] = [];
  const stale: string[] = [];
  let [equal, addedBefore, overwrittenBefore] = [0, 0, 0];
  for (const each of batch) {
    const { record } = each;
    const present = there.get(record.id);
    if (record.embedding === null)
      blame(each, 'it has no embedding, without which Chroma keeps no record', 'USAGE');
    else if (present === undefined) toAdd.push(each);
    else {
      const parts = differingParts(record, present, roundingOf(collection));
      const before = begun.get(record.id);
      if (parts.length === 0 && before?.isNew === true) addedBefore += 1;
      else if (parts.length === 0 && before?.isNew === false) overwrittenBefore += 1;
      else if (parts.length === 0) equal += 1;
      else if (!overwrite)
        blame(each, `the collection has another one: ${parts.join(' and ')} differ`, 'REFUSED');
      else if (losesParts(target, record, present)) {
        stale.push(record.id);
        toAdd.push(each);
      } else toUpdate.push(each);
    }
  }
  const isNew = (id: string): boolean => begun.get(id)?.isNew ?? !there.has(id);
  for (const { record } of [...toAdd, ...toUpdate]) begun.set(record.id, { record, isNew: isNew(record.id) });
  const notUpdated = await put(sending, toUpdate, blame, (records) =>
    target.upsert(
      collection,
      records.map((record) => ({
        ...record,
        metadata: updatingMetadata(record.metadata, there.get(record.id)?.metadata ?? null),
      })),
      signal,
    ),
  );
  if (stale.length > 0) await target.remove(collection, stale, signal);
  const putBack = async (ids: readonly string[]): Promise<void> => {
    const old = ids.flatMap((id) => there.get(id) ?? []);
    // Without the signal, which may be what ended the work.
    if (old.length > 0) await target.add(collection, old);
  };
  let refused: readonly NamedRecord[];
  try {
    refused = await put(sending, toAdd, blame, (records) => target.add(collection, records, signal));
  } catch (error) {
    const isServerGone = isSyncAgentError(error) && (error.retryable || error.timedOut);
    if (!isServerGone) await putBack(stale);
    throw error;
  }
  await putBack(idsOf(refused));
  const left = new Set([...refused, ...notUpdated]);
  const sent = [...toAdd, ...toUpdate].filter((each) => !left.has(each));
  const back = byId(sent.length === 0 ? [] : await target.byIds(collection, idsOf(sent), signal));
  let rounding = 0;
  for (const each of sent) {
    const found = back.get(each.record.id);
    const parts =
      found === undefined ? ['all of it'] : differingParts(each.record, found, roundingOf(collection));
    if (parts.length > 0) throw notKept(sending, each, parts);
    rounding = Math.max(rounding, vectorDistance(each.record.embedding, found?.embedding ?? null));
  }
  const added = sent.filter(({ record }) => isNew(record.id)).length;
  return {
    added: added + addedBefore,
    equal,
    overwritten: sent.length - added + overwrittenBefore,
    problems,
    rounding,
  };
}

/** Of what an update cannot take away. */
const losesParts = (target: RecordTarget, record: SourceRecord, present: SourceRecord): boolean =>
  (record.document === null && present.document !== null) ||
  (record.uri === null && present.uri !== null) ||
  (!target.removesKeys && droppedKeys(record.metadata, present.metadata).length > 0);

/** Sends records. If the server refuses them and the others shall go on, one after the other, to find out which. */
async function put(
  sending: Sending,
  records: readonly NamedRecord[],
  blame: (record: NamedRecord, message: string, code: 'USAGE') => void,
  request: (records: readonly SourceRecord[]) => Promise<void>,
): Promise<readonly NamedRecord[]> {
  if (records.length === 0) return [];
  try {
    await request(records.map(({ record }) => record));
    return [];
  } catch (error) {
    if (!sending.keepGoing || !isSyncAgentError(error, 'USAGE')) throw error;
    const [only] = records;
    if (records.length === 1 && only !== undefined) {
      blame(only, error.message, 'USAGE');
      return [only];
    }
    const refused: NamedRecord[] = [];
    for (const each of records) refused.push(...(await put(sending, [each], blame, request)));
    return refused;
  }
}

const roundingOf = ({ space }: CollectionDescription): number => (space === 'cosine' ? cosineRounding : 0);
const idsOf = (batch: readonly NamedRecord[]): readonly string[] => batch.map(({ record }) => record.id);
const byId = (records: readonly SourceRecord[]): ReadonlyMap<string, SourceRecord> =>
  new Map(records.map((record) => [record.id, record]));

function refusal(
  { collection, verb }: Sending,
  { record, where }: NamedRecord,
  message: string,
  code: 'REFUSED' | 'USAGE',
): SyncAgentError {
  const what = `Cannot ${verb} record ${JSON.stringify(record.id)} (${where}) into collection "${collection.name}"`;
  return new SyncAgentError(code, `${what}: ${message}`, {
    remedy:
      code === 'REFUSED'
        ? 'Import under another name with --as, or add --overwrite to replace such records'
        : `Mend it, or add --keep-going to ${verb} the others`,
  });
}

function notKept(
  { target, collection, verb }: Sending,
  { record, where }: NamedRecord,
  parts: readonly string[],
): SyncAgentError {
  return new SyncAgentError(
    'STORE_CORRUPT',
    `Cannot ${verb} into collection "${collection.name}": the server at "${target.url}" does not give record ${JSON.stringify(record.id)} (${where}) back as it was sent: ${parts.join(' and ')} differ`,
    { remedy: 'Look whether somebody else writes to the collection, then run it again' },
  );
}
