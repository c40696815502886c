import { SyncAgentError } from '../../platform/errors.ts';

/**
 * How long requests may take. A body is measured in stretches of bytes, and each stretch has the same time. So one timer
 * notices silence as well as a server that trickles, and a large transfer has the time that it needs.
 */
export const stretchBytes = 128 * 1024;

/** Node's timers hold no more. */
const largestTimerMs = 2 ** 31 - 1;
/** Bytes of a body that the kernel may still hold when they have left this process, and how fast they have to drain. */
const mostBufferedBytes = 4 * 1024 * 1024;
const drainBytesPerMs = 16;
const copyBaseMs = 60_000;
const copyBytesPerMs = 1024;

/** How long the answer to a request may take once its body of `bytes` was handed to the kernel. */
export function answerMs(baseMs: number, bytes = 0): number {
  return Math.min(baseMs + Math.min(bytes, mostBufferedBytes) / drainBytesPerMs, largestTimerMs);
}

/** How long the server may work on `bytes` without a word: a minute, and a second per MiB, but at most `mostMs`. If `bytes` is not known: `mostMs`. */
export function copyMs(mostMs: number, bytes: number | undefined): number {
  const ms = bytes === undefined ? mostMs : Math.min(mostMs, copyBaseMs + bytes / copyBytesPerMs);
  return Math.min(ms, largestTimerMs);
}

export interface DeadlineOptions {
  /** Time for the answer, headers and all, once the whole body was sent. */
  readonly ms: number;
  /** Size of the body. 0 or undefined: there is nothing to send. */
  readonly bytes?: number | undefined;
  /** Time for each stretch of the body. */
  readonly stretchMs?: number | undefined;
  /** For the message: `put "x" to s3://bucket`. */
  readonly action: string;
  readonly signal?: AbortSignal | undefined;
}

export interface Timed {
  readonly abortSignal: AbortSignal;
}

const sentListeners = new WeakMap<object, (bytes: number) => void>();

/** Tells the request of `abortSignal` how many more bytes of its body have left. */
export function tellSent(abortSignal: object | undefined, bytes: number): void {
  if (abortSignal !== undefined) sentListeners.get(abortSignal)?.(bytes);
}

/** Whether the body of this request is measured while it leaves. */
export function isTimed(abortSignal: object | undefined): boolean {
  return abortSignal !== undefined && sentListeners.has(abortSignal);
}

/**
 * Runs one request. If its body does not leave or its answer does not come in time, it rejects with REMOTE_UNREACHABLE,
 * retryable: also if the server trickles bytes, and if something that was told to stop does not.
 */
export async function withDeadline<T>(
  request: (options: Timed) => Promise<T>,
  { ms, bytes = 0, stretchMs = ms, action, signal }: DeadlineOptions,
): Promise<T> {
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal?.reason);
  let stretch: Stretch | undefined;
  const late = new Promise<never>((_, reject) => {
    const giveUp = (why: string): void => {
      const message = `Cannot ${action}: ${why}`;
      reject(
        new SyncAgentError('REMOTE_UNREACHABLE', message, { retryable: true, remedy: remedyForSilence }),
      );
      controller.abort();
    };
    let left = bytes;
    const answer = new Stretch(ms, () => giveUp(`no complete answer within ${inWords(ms)}`));
    const body = new Stretch(stretchMs, (moved) =>
      giveUp(`the server took ${moved} bytes in ${inWords(stretchMs)}, too few`),
    );
    stretch = left > 0 ? body : answer;
    sentListeners.set(controller.signal, (count) => {
      left -= count;
      if (stretch !== body) return;
      body.moved(count);
      if (left > 0) return;
      body.stop();
      stretch = answer;
      answer.start();
    });
    stretch.start();
  });
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  try {
    return await Promise.race([request({ abortSignal: controller.signal }), late]);
  } catch (error) {
    // A server may refuse a body before it has read it. The rest would keep its memory, and a connection, until it had left.
    controller.abort();
    throw error;
  } finally {
    stretch?.stop();
    signal?.removeEventListener('abort', onAbort);
  }
}

export const remedyForSilence = 'Check the network, the endpoint, and that the server is well';

/** Time that begins again with each stretch of bytes. It can be halted while nobody waits for them. */
export class Stretch {
  readonly #ms: number;
  readonly #onLate: (moved: number) => void;
  #leftMs: number;
  #moved = 0;
  #startedMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `onLate` is told how many bytes of the stretch have come. */
  constructor(ms: number, onLate: (moved: number) => void) {
    this.#ms = ms;
    this.#leftMs = ms;
    this.#onLate = onLate;
  }

  start(): void {
    this.#startedMs = performance.now();
    this.#wait(this.#leftMs);
  }

  /** Halts the timer until `start`. */
  stop(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#leftMs = Math.max(0, this.#leftMs - (performance.now() - this.#startedMs));
  }

  /** Called for each chunk of a fast transfer, so it leaves the timer alone. */
  moved(bytes: number): void {
    this.#moved += bytes;
    if (this.#moved < stretchBytes) return;
    this.#moved = 0;
    this.#leftMs = this.#ms;
    this.#startedMs = performance.now();
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => {
      const left = this.#leftMs - (performance.now() - this.#startedMs);
      // Timers may fire a millisecond early.
      if (left > 1) this.#wait(left);
      else this.#onLate(this.#moved);
    }, ms);
  }
}

/** `200 ms`, `15 s`. */
export function inWords(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`;
}
