import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { errnoOf, messageOf } from '../../platform/errors.ts';

/**
 * What `HashThread` asks of its worker. For each file: any number of `upTo`, of `digest`, and `close`. Bytes that follow each other from
 * `from` on are hashed together, and what begins elsewhere by itself.
 */
export type HashRequest =
  | {
      readonly type: 'upTo';
      readonly id: number;
      readonly path: string;
      readonly from: number;
      readonly end: number;
    }
  | { readonly type: 'digest'; readonly id: number; readonly from: number }
  | { readonly type: 'close'; readonly id: number };

/** The answer to `digest`. Errors lose their class on the way between threads, so their fields are sent. */
export type HashAnswer = { readonly id: number; readonly from: number } & (
  | { readonly type: 'hash'; readonly sha256: string }
  | { readonly type: 'error'; readonly message: string; readonly errno: string | undefined }
);

const buffer = Buffer.allocUnsafeSlow(256 * 1024);

interface Run {
  readonly hash: Hash;
  position: number;
  /** The file could not be read; told when the hash is asked for. */
  failure?: Error;
}

/** A file that is read as far as its bytes have come. */
class Follower {
  readonly #path: string;
  /** By where they begin. */
  readonly #runs = new Map<number, Run>();
  #descriptor: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  upTo(from: number, end: number): void {
    let run = this.#runs.get(from);
    if (run === undefined) this.#runs.set(from, (run = { hash: createHash('sha256'), position: from }));
    if (run.failure !== undefined) return;
    try {
      this.#read(run, end);
    } catch (error) {
      run.failure = error instanceof Error ? error : new Error(messageOf(error));
    }
  }

  digest(from: number): string {
    const run = this.#runs.get(from);
    this.#runs.delete(from);
    if (run === undefined) throw new Error(`nothing of "${this.#path}" was read from byte ${from} on`);
    if (run.failure !== undefined) throw run.failure;
    return run.hash.digest('hex');
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
  }

  #read(run: Run, end: number): void {
    const descriptor = (this.#descriptor ??= openSync(this.#path, 'r'));
    while (run.position < end) {
      const wanted = Math.min(buffer.length, end - run.position);
      const count = readSync(descriptor, buffer, 0, wanted, run.position);
      if (count === 0) throw new Error(`"${this.#path}" ended at byte ${run.position}, expected ${end}`);
      run.hash.update(buffer.subarray(0, count));
      run.position += count;
    }
  }
}

const followers = new Map<number, Follower>();

function answerTo({ id, from }: Extract<HashRequest, { type: 'digest' }>): HashAnswer {
  try {
    const follower = followers.get(id);
    if (follower === undefined) throw new Error('nothing of the file was read');
    return { type: 'hash', id, from, sha256: follower.digest(from) };
  } catch (error) {
    return { type: 'error', id, from, message: messageOf(error), errno: errnoOf(error) };
  }
}

parentPort?.on('message', (request: HashRequest) => {
  const { id } = request;
  if (request.type === 'upTo') {
    let follower = followers.get(id);
    if (follower === undefined) followers.set(id, (follower = new Follower(request.path)));
    follower.upTo(request.from, request.end);
  } else if (request.type === 'digest') parentPort?.postMessage(answerTo(request), []);
  else {
    followers.get(id)?.close();
    followers.delete(id);
  }
});
