import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import { describeCall, describeKeys, type RemoteOperation } from '../describe-call.ts';
import type {
  Body,
  CallOptions,
  CopyOptions,
  DirectoryListing,
  GetOptions,
  GetResult,
  ListOptions,
  ListPage,
  ObjectInfo,
  Remote,
  PutOptions,
  PutResult,
  RemoteRemark,
} from '../remote.ts';
import { stretchBytes } from './deadline.ts';
import { defaultRetryPolicy, patient, withRetry, type FailedAttempt, type RetryPolicy } from './retry.ts';

export interface RetryEvent extends FailedAttempt {
  readonly operation: RemoteOperation;
  readonly key: string;
}

export interface RetryingOptions extends Partial<RetryPolicy> {
  readonly onRetry?: ((event: RetryEvent) => void) | undefined;
}

/**
 * Repeats calls whose error is `retryable`. A body that breaks is resumed at the byte it reached, from the same
 * version of the object; a listing after the last key it delivered. Progress starts the count anew, and enough of it the time.
 */
export function retrying(remote: Remote, options: RetryingOptions = {}): Remote {
  return new RetryingRemote(remote, options);
}

class RetryingRemote implements Remote {
  readonly #remote: Remote;
  readonly #policy: RetryPolicy;
  readonly #onRetry: ((event: RetryEvent) => void) | undefined;

  constructor(remote: Remote, { onRetry, ...policy }: RetryingOptions) {
    this.#remote = remote;
    this.#policy = { ...defaultRetryPolicy, ...policy };
    this.#onRetry = onRetry;
  }

  get location(): string {
    return this.#remote.location;
  }

  put(key: string, body: Body, options?: PutOptions): Promise<PutResult> {
    return this.#retry(
      'put',
      key,
      options,
      () => this.#remote.put(key, body, options),
      patient(this.#policy),
    );
  }

  async get(key: string, options?: GetOptions): Promise<GetResult> {
    const startedMs = this.#policy.clock.monotonic();
    const result = await this.#retry('get', key, options, () => this.#remote.get(key, options));
    return { ...result, body: this.#resuming(key, result, { ...options, startedMs }) };
  }

  head(key: string, options?: CallOptions): Promise<ObjectInfo | undefined> {
    return this.#retry('head', key, options, () => this.#remote.head(key, options));
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ListPage> {
    let remaining = options;
    let pages: AsyncIterator<ListPage> | undefined;
    try {
      for (;;) {
        const next = await this.#retry('list', prefix, options, () => {
          pages ??= this.#remote.list(prefix, remaining)[Symbol.asyncIterator]();
          return pages.next().catch((error: unknown) => {
            pages = undefined;
            throw error;
          });
        });
        if (next.done === true) return;
        const last = next.value.objects.at(-1);
        if (last !== undefined) remaining = { ...options, startAfter: last.key };
        yield next.value;
      }
    } finally {
      await pages?.return?.();
    }
  }

  listDirectories(prefix: string, options?: CallOptions): Promise<DirectoryListing> {
    return this.#retry('listDirectories', prefix, options, () =>
      this.#remote.listDirectories(prefix, options),
    );
  }

  copy(from: string, to: string, options?: CopyOptions): Promise<void> {
    return this.#retry('copy', from, options, () => this.#remote.copy(from, to, options));
  }

  remove(keys: readonly string[], options?: CallOptions): Promise<void> {
    return this.#retry('remove', describeKeys(keys), options, () => this.#remote.remove(keys, options));
  }

  sweepUploads(prefix: string, before: Date, options?: CallOptions): Promise<number> {
    return this.#retry('sweepUploads', prefix, options, () =>
      this.#remote.sweepUploads(prefix, before, options),
    );
  }

  /** Not retried: what is not known need not be. */
  async remarks(options?: CallOptions): Promise<readonly RemoteRemark[]> {
    return (await this.#remote.remarks?.(options)) ?? [];
  }

  close(): Promise<void> {
    return this.#remote.close();
  }

  async *#resuming(
    key: string,
    first: GetResult,
    { startedMs, ...options }: GetOptions & { readonly startedMs: number },
  ): AsyncGenerator<Uint8Array> {
    // What is small has seconds in all; what is big has a stretch of trouble, again and again.
    const isSmall = first.size <= stretchBytes;
    const policy = isSmall ? this.#policy : patient(this.#policy);
    let position = options.range?.start ?? 0;
    const end = position + first.size;
    // A server that sends a few bytes to each attempt gets no further by all of them together.
    let trouble: { readonly startedMs: number; readonly position: number } | undefined;
    let chunks: AsyncIterator<Uint8Array> | undefined = first.body[Symbol.asyncIterator]();

    const next = async (): Promise<IteratorResult<Uint8Array>> => {
      if (chunks === undefined) {
        const range = { start: position, end };
        const rest = await this.#remote.get(key, { ...options, range, ifVersion: first.version });
        chunks = rest.body[Symbol.asyncIterator]();
      }
      try {
        let result = await chunks.next();
        // No bytes are no progress: they must not start the policy anew.
        while (result.done !== true && result.value.byteLength === 0) result = await chunks.next();
        if (result.done === true && position < end) throw this.#endedShort(key, position, end);
        return result;
      } catch (error) {
        chunks = undefined;
        throw error;
      }
    };

    try {
      for (;;) {
        const result = await next().catch((error: unknown) => {
          if (!isSyncAgentError(error) || !error.retryable || position === end) throw error;
          trouble ??= { startedMs: isSmall ? startedMs : policy.clock.monotonic(), position };
          return this.#retry(
            'get',
            key,
            options,
            (attempt) => (attempt === 1 ? Promise.reject(error) : next()),
            policy,
            trouble.startedMs,
          );
        });
        if (result.done === true) return;
        position += result.value.byteLength;
        if (trouble !== undefined && position - trouble.position >= stretchBytes) trouble = undefined;
        yield result.value;
      }
    } finally {
      await chunks?.return?.();
    }
  }

  /** The first answer said how long the body is; one that resumes it may have promised less. */
  #endedShort(key: string, position: number, end: number): SyncAgentError {
    const message = `Cannot ${describeCall('get', key, this.location)}: it ended at byte ${position} of ${end}`;
    return new SyncAgentError('REMOTE_UNREACHABLE', message, { retryable: true });
  }

  #retry<T>(
    operation: RemoteOperation,
    key: string,
    options: CallOptions | undefined,
    fn: (attempt: number) => Promise<T>,
    policy = this.#policy,
    startedMs?: number,
  ): Promise<T> {
    return withRetry(fn, policy, {
      startedMs,
      action: describeCall(operation, key, this.location),
      signal: options?.signal,
      onRetry: (failure) => this.#onRetry?.({ ...failure, operation, key }),
    });
  }
}
