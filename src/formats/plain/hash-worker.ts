import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { errnoOf, messageOf } from '../../platform/errors.ts';

/** What `HashThread` asks of its worker. For each file: any number of `upTo`, maybe `digest`, and `close`. */
export type HashRequest =
  | { readonly type: 'upTo'; readonly id: number; readonly path: string; readonly end: number }
  | { readonly type: 'digest'; readonly id: number }
  | { readonly type: 'close'; readonly id: number };

/** The answer to `digest`. Errors lose their class on the way between threads, so their fields are sent. */
export type HashAnswer =
  | { readonly type: 'hash'; readonly id: number; readonly sha256: string }
  | {
      readonly type: 'error';
      readonly id: number;
      readonly message: string;
      readonly errno: string | undefined;
    };

const buffer = Buffer.allocUnsafeSlow(256 * 1024);

/** A file that is read as far as its bytes have come. */
class Follower {
  readonly #path: string;
  readonly #hash: Hash = createHash('sha256');
  readonly #descriptor: number;
  #position = 0;

  constructor(path: string) {
    this.#path = path;
    this.#descriptor = openSync(path, 'r');
  }

  upTo(end: number): void {
    while (this.#position < end) {
      const wanted = Math.min(buffer.length, end - this.#position);
      const count = readSync(this.#descriptor, buffer, 0, wanted, this.#position);
      if (count === 0) throw new Error(`"${this.#path}" ended at byte ${this.#position}, expected ${end}`);
      this.#hash.update(buffer.subarray(0, count));
      this.#position += count;
    }
  }

  digest(): string {
    return this.#hash.digest('hex');
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

const followers = new Map<number, Follower>();
/** Of files that could not be read; told when their hash is asked for. */
const failures = new Map<number, unknown>();

function follow({ id, path, end }: Extract<HashRequest, { type: 'upTo' }>): void {
  if (failures.has(id)) return;
  try {
    let follower = followers.get(id);
    if (follower === undefined) followers.set(id, (follower = new Follower(path)));
    follower.upTo(end);
  } catch (error) {
    failures.set(id, error);
  }
}

function answerTo(id: number): HashAnswer {
  const error = failures.get(id);
  const follower = followers.get(id);
  return follower === undefined || error !== undefined
    ? { type: 'error', id, message: messageOf(error), errno: errnoOf(error) }
    : { type: 'hash', id, sha256: follower.digest() };
}

parentPort?.on('message', (request: HashRequest) => {
  const { id } = request;
  if (request.type === 'upTo') follow(request);
  else if (request.type === 'digest') parentPort?.postMessage(answerTo(id), []);
  else {
    followers.get(id)?.close();
    followers.delete(id);
    failures.delete(id);
  }
});
