import type { Clock } from '../../platform/clock.ts';
import { SyncAgentError, isSyncAgentError, messageOf } from '../../platform/errors.ts';
import type { Emit } from '../../platform/events.ts';
import type { CollectionPlace, RecordTarget } from '../../stores/record-source.ts';
import type { NamedRecord, RecordProblem } from '../records/send-batch.ts';
import { maxRequestBytes, sendRecords } from '../records/send-records.ts';
import type { SentCollection } from '../records/send-records.ts';
import { addedRecords } from './added-records.ts';
import type { AddedRecords } from './added-records.ts';
import type { MemoryGuard } from './memory-guard.ts';
import { adaptivePace } from './pace.ts';
import type { Pace } from './pace.ts';
import { recordChecks } from './record-checks.ts';
import type { RecordChecks } from './record-checks.ts';

export interface IndexOptions {
  /** The most records of one request. Default: what the server takes. */
  readonly batchSize?: number | undefined;
  /** Leaves out what cannot be written, instead of ending. */
  readonly keepGoing?: boolean | undefined;
  /** If it fails, deletes the records that it added. Those that it changed stay changed. */
  readonly undo?: boolean | undefined;
}

export interface IndexResult extends SentCollection {
  /** Whether the collection was made. */
  readonly isNew: boolean;
  /** Records of the next request, if there were more: what the server's answers led to. */
  readonly batchSize: number;
  /** How long it waited for memory, milliseconds. */
  readonly pausedMs: number;
}

/** The records of one collection, on their way. */
export interface IndexInput {
  /** Reads from the beginning. What cannot be read at all is told, or thrown. */
  read(onBroken: (problem: RecordProblem) => void): AsyncIterable<NamedRecord>;
  /** Whether it can be read twice: then all of it is checked before anything is sent. */
  readonly isRepeatable: boolean;
}

export interface Indexing extends IndexOptions {
  readonly target: RecordTarget;
  readonly place: CollectionPlace;
  readonly input: IndexInput;
  readonly guard: MemoryGuard;
  readonly clock: Clock;
  readonly emit: Emit;
  /** After each batch. */
  readonly onWritten?: (() => void) | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Writes records into a collection of a running server, which is made if it is missing: checked, in batches that fit the server, each read
 * back and compared. Records that are there and differ are changed in place.
 *
 *   1 the input is checked, if it can be read twice      crash: nothing was sent
 *   2 each batch: look up, send what is missing or other, read back
 *                                                        crash of either side: a part is there
 *   3 another run with the same input                    looks up again: what is there and equal is not sent
 *
 * No state is kept for that: the collection says what is there, also after somebody restored its server. Ids identify the records.
 */
export async function indexRecords(indexing: Indexing): Promise<IndexResult> {
  const { target, place, input, guard, clock, emit, signal, keepGoing, undo = false, batchSize } = indexing;
  if (batchSize !== undefined && !(Number.isInteger(batchSize) && batchSize > 0))
    throw new SyncAgentError('USAGE', `Cannot send batches of ${batchSize} records`);
  const problems: RecordProblem[] = [];
  const blame = (problem: RecordProblem): void => {
    if (keepGoing !== true) throw refusal(place, problem);
    problems.push(problem);
  };
  const present = await target.find(place, signal);
  const checksOf = (): RecordChecks => recordChecks(present?.dimension ?? null, present?.space === 'cosine');
  let total = 0;
  if (input.isRepeatable && keepGoing !== true) {
    emit({ type: 'phase', phase: 'validate' });
    for await (const _ of checked(input, checksOf(), blame)) total += 1;
  }
  emit({ type: 'phase', phase: 'index' });
  let done = 0;
  const onSent = (count: number): void => {
    done += count;
    emit({ type: 'progress', phase: 'index', done, total: Math.max(done, total), unit: 'records' });
    if (count > 0) indexing.onWritten?.();
  };
  onSent(0);
  const added = addedRecords();
  let pace: Pace | undefined;
  try {
    const sent = await sendRecords(target, place, undefined, checked(input, checksOf(), blame), {
      verb: 'index',
      overwrite: true,
      keepGoing,
      signal,
      now: () => clock.monotonic(),
      onSent,
      guard,
      paceFor: (most) =>
        (pace = adaptivePace({ most: Math.min(most, batchSize ?? most), bytes: maxRequestBytes })),
      onAdded: undo ? (collection, records) => added.remember(collection, records) : undefined,
    });
    return {
      ...sent,
      problems: [...problems, ...sent.problems],
      isNew: present === undefined,
      batchSize: pace?.records() ?? 0,
      pausedMs: guard.pausedMs(),
    };
  } catch (error) {
    if (undo) throw await undone(error, added, target);
    throw error;
  }
}

async function* checked(
  input: IndexInput,
  checks: RecordChecks,
  blame: (problem: RecordProblem) => void,
): AsyncGenerator<NamedRecord> {
  for await (const each of input.read(blame)) {
    const message = checks.problemOf(each.record);
    if (message === undefined) yield each;
    else blame({ where: each.where, id: each.record.id, message });
  }
}

/** The signal may be what ended the run, so the deletion does not listen to it. */
async function undone(error: unknown, added: AddedRecords, target: RecordTarget): Promise<unknown> {
  const { code, message, remedy, retryable, outOfReach } = isSyncAgentError(error)
    ? error
    : new SyncAgentError('INTERNAL', messageOf(error));
  const because = (what: string, isUndone: boolean): SyncAgentError =>
    new SyncAgentError(code, `${message}. ${what}`, {
      retryable,
      outOfReach,
      cause: error,
      remedy: isUndone
        ? 'Records that it changed stay changed: an earlier snapshot has the old ones'
        : (remedy ?? 'Run it again: it goes on where it stopped'),
    });
  try {
    return because(`The ${await added.remove(target)} records that it had added were deleted again`, true);
  } catch (failure) {
    return because(`Records that it had added could not be deleted again: ${messageOf(failure)}`, false);
  }
}

function refusal({ name }: CollectionPlace, { where, id, message }: RecordProblem): SyncAgentError {
  const what = id === null ? where : `record ${JSON.stringify(id)} (${where})`;
  return new SyncAgentError('USAGE', `Cannot index ${what} into collection "${name}": ${message}`, {
    remedy: 'Mend it, or add --keep-going to index the others',
  });
}
