import type { RemoteKind } from '../remote-kind.ts';
import { lazy } from '../wrappers/lazy-remote.ts';
import { endpointOf } from './connection/endpoint.ts';
import type { S3Options } from './s3-settings.ts';
import { formatS3Url, parseS3Url, recogniseS3 } from './s3-url.ts';

/** A bucket, or a part of one, of an S3-compatible server. */
export const s3Kind: RemoteKind<S3Options> = {
  scheme: 's3',
  form: 's3://bucket/prefix',
  recognise: recogniseS3,
  parse: (url) => {
    const { bucket, prefix } = parseS3Url(url);
    return {
      url: formatS3Url({ bucket, prefix }),
      preparation: [
        'Give it credentials, wherever it runs: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile in ~/.aws, ' +
          'or the role of the instance; they do not belong into the config',
      ],
      open: async ({ clock, onRetry }, options) => {
        const settings = { ...options, bucket, prefix };
        const shown = formatS3Url({ bucket, prefix });
        // The AWS SDK takes some 110 ms to load: an operation that makes no request goes without.
        const remote = lazy(shown, async () => {
          const [{ createS3Remote }, { s3Proxy }] = await Promise.all([
            import('./s3-remote.ts'),
            import('./connection/s3-client.ts'),
          ]);
          const proxy = await s3Proxy(settings);
          return createS3Remote({ ...settings, proxy, retry: { ...options?.retry, clock, onRetry } });
        });
        return {
          remote,
          retry: options?.retry,
          prefixBytes: prefix === '' ? 0 : Buffer.byteLength(prefix) + 1,
          id: [shown, endpointOf(settings)?.origin].filter(Boolean).join(' at '),
        };
      },
    };
  },
};
