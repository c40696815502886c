import type { Clock } from '../clock.ts';
import type { Emit } from '../events.ts';
import type { FileSystem } from '../store/file-system.ts';
import { createDirectoryStore } from './directory-store.ts';
import type { ObjectStore } from './object-store.ts';
import { parseRemote } from './remote-url.ts';
import { retrying } from './retrying-store.ts';
import type { RetryEvent } from './retrying-store.ts';
import type { S3Settings } from './s3-settings.ts';

/** How to reach and use S3; the bucket and prefix are in the remote's URL. */
export type S3Options = Omit<S3Settings, 'bucket' | 'prefix' | 'retry'>;

export interface OpenRemoteOptions {
  readonly s3?: S3Options | undefined;
  readonly clock: Clock;
  readonly emit: Emit;
  readonly fs: FileSystem;
}

/** Opens what a URL names, with retries. The AWS SDK is loaded only for `s3://`. Connects to nothing yet. */
export async function openRemote(
  url: string,
  { s3, clock, emit, fs }: OpenRemoteOptions,
): Promise<{ readonly remote: ObjectStore; readonly prefixBytes: number }> {
  const location = parseRemote(url);
  const onRetry = ({ operation, key, attempt, delayMs, error }: RetryEvent): void =>
    emit({ type: 'retry', operation, key, attempt, delayMs, message: error.message });
  switch (location.type) {
    case 'directory': {
      const store = createDirectoryStore({ path: location.path, fs, clock });
      return { remote: store, prefixBytes: 0 };
    }
    case 's3': {
      const { createS3Store } = await import('./s3-store.ts');
      const { bucket, prefix } = location;
      const store = createS3Store({ ...s3, bucket, prefix, retry: { clock, onRetry } });
      return {
        remote: retrying(store, { clock, onRetry }),
        prefixBytes: prefix === '' ? 0 : Buffer.byteLength(prefix) + 1,
      };
    }
    default:
      return location satisfies never;
  }
}
