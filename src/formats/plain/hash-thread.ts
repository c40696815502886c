import type { Worker } from 'node:worker_threads';
import { SyncAgentError } from '../../platform/errors.ts';
import { startWorker } from '../../platform/start-worker.ts';
import type { HashAnswer, HashRequest } from './hash-worker.ts';

/** The SHA-256 of a file that grows, as it is in the file: from its beginning, or from several places. */
export interface FollowingHash {
  /** All bytes from `from`, by default 0, to `end` were written. */
  upTo(end: number, from?: number): void;
  /** The hash from `from` to the last `end`, lower-case hexadecimal. Then nothing is known of it any more. */
  digest(from?: number): Promise<string>;
  /** Must be called at the end, in any case. */
  close(): void;
}

let shared: HashThread | undefined;

/**
 * Hashes a file in a thread of its own, from the page cache, while more bytes arrive. So the thread that has the network does
 * nothing else. All files share one thread, which ends with the last of them.
 */
export function followFile(path: string): FollowingHash {
  shared ??= new HashThread(() => (shared = undefined));
  return shared.follow(path);
}

const nameOf = ({ id, from }: { readonly id: number; readonly from: number }): string => `${id} ${from}`;

interface Waiting {
  resolve(sha256: string): void;
  reject(error: Error): void;
}

class HashThread {
  readonly #worker: Worker;
  readonly #onEnd: () => void;
  readonly #open = new Set<number>();
  /** By file and place. */
  readonly #waiting = new Map<string, Waiting>();
  #death: Error | undefined;
  #lastId = 0;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
    this.#worker = startWorker('hash-worker', import.meta.url);
    this.#worker.on('message', (answer: HashAnswer) => {
      const waiting = this.#waiting.get(nameOf(answer));
      this.#waiting.delete(nameOf(answer));
      if (answer.type === 'hash') waiting?.resolve(answer.sha256);
      else waiting?.reject(Object.assign(new Error(answer.message), { code: answer.errno }));
    });
    this.#worker.once('error', (cause) => this.#died(`with "${cause.message}"`, cause));
    this.#worker.once('exit', (exitCode) => this.#died(`with exit code ${exitCode}`));
  }

  follow(path: string): FollowingHash {
    const id = (this.#lastId += 1);
    this.#open.add(id);
    return {
      upTo: (end, from = 0) => this.#ask({ type: 'upTo', id, path, from, end }),
      digest: (from = 0) =>
        new Promise((resolve, reject) => {
          if (this.#death !== undefined) throw this.#death;
          this.#waiting.set(nameOf({ id, from }), { resolve, reject });
          this.#ask({ type: 'digest', id, from });
        }),
      close: () => {
        if (!this.#open.delete(id)) return;
        this.#ask({ type: 'close', id });
        if (this.#open.size > 0) return;
        this.#onEnd();
        void this.#worker.terminate();
      },
    };
  }

  #ask(request: HashRequest): void {
    this.#worker.postMessage(request, []);
  }

  #died(how: string, cause?: unknown): void {
    this.#death ??= new SyncAgentError('INTERNAL', `Cannot hash files: the thread ended ${how}`, { cause });
    for (const waiting of this.#waiting.values()) waiting.reject(this.#death);
    this.#waiting.clear();
  }
}
