import { SyncAgentError } from '../../platform/errors.ts';
import { encodeSegment, maxSegmentText } from '../../log/segments/segment.ts';
import type { LogPosition } from '../../log/segments/position.ts';
import type { ChainEnd } from '../../log/segments/read-segments.ts';
import { createSegment } from '../../log/segments/write-segment.ts';
import type { EncodedSegment } from '../../log/segments/write-segment.ts';
import type { Context } from '../context.ts';
import type { Batch } from './reading/spool.ts';

/** A create-only put takes 8 MiB. */
const maxSegmentBytes = 8 * 1024 * 1024;

export interface LogWriterOptions {
  /** The snapshot whose log it is. */
  readonly snapshot: string;
  readonly end: ChainEnd;
  /** 32 random hexadecimal digits. */
  readonly writer: string;
  readonly isConditional: boolean;
}

export interface ShippedSegment {
  readonly snapshot: string;
  readonly number: number;
  readonly operations: number;
  /** Compressed. */
  readonly bytes: number;
  readonly to: LogPosition;
  /** When its oldest operation was read, milliseconds since the epoch. */
  readonly readAtMs: number;
}

/** A batch in its place. */
interface Pending extends Batch {
  readonly from: LogPosition;
}

/** A segment that is on its way, or may be in the remote already. */
interface Begun {
  readonly segment: EncodedSegment;
  readonly batches: number;
  readonly shipped: ShippedSegment;
}

/** Another host has continued the log: what this one wrote since is no part of it. */
export class LogOvertaken extends Error {}

/** Writes what was read into the log of one snapshot, in order. What a failed call has not written stays pending. */
export class LogWriter {
  readonly #context: Context;
  readonly #options: LogWriterOptions;
  readonly #pending: Pending[] = [];
  #pendingBytes = 0;
  #written = 0;
  #end: ChainEnd;
  #begun: Begun | undefined;
  #shipping: Promise<unknown> = Promise.resolve();

  constructor(context: Context, options: LogWriterOptions) {
    this.#context = context;
    this.#options = options;
    this.#end = options.end;
  }

  get snapshot(): string {
    return this.#options.snapshot;
  }

  get end(): ChainEnd {
    return this.#end;
  }

  get pending(): readonly Batch[] {
    return this.#pending;
  }

  /** Of the text that is pending. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** How many batches were added, and how many of them are in the remote. */
  get counts(): { readonly added: number; readonly written: number } {
    return { added: this.#written + this.#pending.length, written: this.#written };
  }

  /** Where the log stands when all that is pending was written. */
  get position(): LogPosition {
    return this.#pending.at(-1)?.to ?? this.#end.position;
  }

  /** Chains batches on. What has no number is as it was, unless a batch says otherwise. */
  add(batches: readonly Batch[]): void {
    for (const batch of batches) {
      const from = this.position;
      const rest = batch.rest === undefined ? from.rest : batch.to.rest;
      this.#pending.push({ ...batch, from, to: { ...batch.to, rest } });
      this.#pendingBytes += batch.bytes;
    }
  }

  /** Writes one segment of what is pending; undefined if nothing is. Rejects with LogOvertaken, or as the remote does. */
  ship(epoch: number | undefined): Promise<ShippedSegment | undefined> {
    const shipped = this.#shipping.then(() => this.#ship(epoch));
    this.#shipping = shipped.catch(() => undefined);
    return shipped;
  }

  async #ship(epoch: number | undefined): Promise<ShippedSegment | undefined> {
    this.#begun ??= await this.#encode(epoch);
    const begun = this.#begun;
    if (begun === undefined) return undefined;
    const { signal, remote } = this.#context;
    const { isConditional } = this.#options;
    if (!(await createSegment(remote, begun.segment, { signal, isConditional })))
      throw new LogOvertaken(
        `segment ${begun.segment.number} of snapshot ${this.snapshot} is another host's`,
      );
    const { number, checksum } = begun.segment;
    for (const { bytes } of this.#pending.splice(0, begun.batches)) this.#pendingBytes -= bytes;
    this.#written += begun.batches;
    this.#end = { number, checksum, position: begun.shipped.to };
    this.#begun = undefined;
    return begun.shipped;
  }

  /** An attempt that may have been written is never made anew: the next call sends the same bytes. */
  async #encode(epoch: number | undefined): Promise<Begun | undefined> {
    const batches = firstOf(this.#pending);
    const [first] = batches;
    const last = batches.at(-1);
    if (first === undefined || last === undefined) return undefined;
    const { settings } = this.#context;
    const { snapshot, writer } = this.#options;
    const operations = batches.flatMap((batch) => batch.operations.map(({ text }) => text));
    const number = this.#end.number + 1;
    const { bytes, checksum } = await encodeSegment(
      {
        snapshot,
        number,
        previous: this.#end.checksum,
        writer,
        host: settings.host,
        agent: settings.agent,
        ...(epoch === undefined ? {} : { epoch }),
        from: first.from,
        to: last.to,
        ...(first.cutTo === undefined ? {} : { cutTo: first.cutTo }),
        operations: operations.length,
        readAt: { first: iso(first.readAtMs), last: iso(last.readAtMs) },
      },
      // Only the newest state of what has no number counts.
      [...operations, ...(batches.findLast(({ rest }) => rest !== undefined)?.rest ?? [])],
    );
    if (bytes.byteLength > maxSegmentBytes)
      throw new SyncAgentError(
        'UNSUPPORTED',
        `Cannot write segment ${number} of snapshot ${snapshot}: one write of ${bytes.byteLength} bytes is too large for a log`,
      );
    const shipped = {
      snapshot,
      number,
      operations: operations.length,
      bytes: bytes.byteLength,
      to: last.to,
      readAtMs: first.readAtMs,
    };
    return { segment: { snapshot, number, bytes, checksum }, batches: batches.length, shipped };
  }
}

/** As many as fit into one segment. A store counts back only where a segment begins. */
function firstOf(pending: readonly Pending[]): readonly Pending[] {
  let bytes = 0;
  const end = pending.findIndex((batch, index) => {
    bytes += batch.bytes;
    return index > 0 && (batch.cutTo !== undefined || bytes > maxSegmentText);
  });
  return end === -1 ? pending.slice() : pending.slice(0, end);
}

const iso = (ms: number): string => new Date(ms).toISOString();
