import type { Clock } from '../platform/clock.ts';
import type { Emit } from '../platform/events.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { createDirectoryRemote } from './directory/directory-remote.ts';
import type { Remote } from './remote.ts';
import { parseRemote } from './remote-url.ts';
import type { RetryPolicy } from './wrappers/retry.ts';
import { retrying } from './wrappers/retrying-remote.ts';
import type { RetryEvent } from './wrappers/retrying-remote.ts';
import type { S3Settings } from './s3/s3-settings.ts';

/** How to reach and use S3; the bucket and prefix are in the remote's URL. */
export type S3Options = Omit<S3Settings, 'bucket' | 'prefix' | 'retry' | 'proxy'> & {
  readonly retry?: Partial<Omit<RetryPolicy, 'clock'>> | undefined;
};

export interface OpenRemoteOptions {
  readonly s3?: S3Options | undefined;
  readonly clock: Clock;
  readonly emit: Emit;
  readonly fs: FileSystem;
}

export interface OpenedRemote {
  readonly remote: Remote;
  /** Bytes of the remote's own prefix: it counts towards the limit of a key. */
  readonly prefixBytes: number;
  /** Tells this remote from every other, of another endpoint too. For local state; holds no credential. */
  readonly remoteId: string;
  /** Of a directory remote. */
  readonly directory?: string;
}

/** Opens what a URL names, with retries. The AWS SDK is loaded only for `s3://`. Connects to nothing yet. */
export async function openRemote(
  url: string,
  { s3, clock, emit, fs }: OpenRemoteOptions,
): Promise<OpenedRemote> {
  const location = parseRemote(url);
  const onRetry = ({ operation, key, attempt, delayMs, error }: RetryEvent): void =>
    emit({ type: 'retry', operation, key, attempt, delayMs, message: error.message });
  switch (location.type) {
    case 'directory': {
      const store = createDirectoryRemote({ path: location.path, fs, clock });
      const remote = retrying(store, { clock, onRetry });
      return { remote, prefixBytes: 0, remoteId: store.location, directory: location.path };
    }
    case 's3': {
      const [{ createS3Remote }, { endpointOf, s3Proxy }] = await Promise.all([
        import('./s3/s3-remote.ts'),
        import('./s3/s3-client.ts'),
      ]);
      const { bucket, prefix } = location;
      const retry = { ...s3?.retry, clock, onRetry };
      const proxy = await s3Proxy({ ...s3, bucket });
      const store = createS3Remote({ ...s3, bucket, prefix, retry, proxy });
      return {
        remote: retrying(store, retry),
        prefixBytes: prefix === '' ? 0 : Buffer.byteLength(prefix) + 1,
        remoteId: [store.location, endpointOf({ ...s3, bucket })?.origin].filter(Boolean).join(' at '),
      };
    }
    default:
      return location satisfies never;
  }
}
