import type { Proxy } from '../proxy.ts';
import type { RetryEvent } from '../wrappers/retrying-remote.ts';
import type { RetryPolicy } from '../wrappers/retry.ts';

/** Plain settings of an S3 remote. Credentials come from the AWS default chain unless given here. */
export interface S3Settings {
  readonly bucket: string;
  /** Without slashes at its ends; empty for the whole bucket. */
  readonly prefix?: string | undefined;
  readonly region?: string | undefined;
  /** `http(s)://host[:port]`; also taken from AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL. */
  readonly endpoint?: string | undefined;
  /** By itself true for an endpoint that is an IP address or a host name without dots. */
  readonly forcePathStyle?: boolean | undefined;
  readonly serverSideEncryption?: 'AES256' | 'aws:kms' | undefined;
  readonly kmsKeyId?: string | undefined;
  readonly storageClass?: string | undefined;
  /** Bodies up to this are one request and are held in memory, default 6 MiB; at least 5 MiB. */
  readonly partSizeBytes?: number | undefined;
  /** Parts in flight of one upload or copy, default 4. */
  readonly uploadConcurrency?: number | undefined;
  /** For a connection, default 5 s. */
  readonly connectTimeoutMs?: number | undefined;
  /** For the whole answer to a request without a body: a listing's page, what is known of an object; default 20 s. */
  readonly answerTimeoutMs?: number | undefined;
  /** For each 128 KiB of a body, and for the answer after it was sent, default 30 s. */
  readonly stallTimeoutMs?: number | undefined;
  /** At most for a server-side copy, during which some servers are silent, default 10 min. */
  readonly copyTimeoutMs?: number | undefined;
  /** Checksums beyond the signed SHA-256; `when_required` by default for custom endpoints, `when_supported` for AWS. */
  readonly checksums?: 'when_required' | 'when_supported' | undefined;
  /** How the parts of big objects are retried, part by part; whole calls are retried by the `retrying` decorator. */
  readonly retry?:
    (Partial<RetryPolicy> & { readonly onRetry?: ((event: RetryEvent) => void) | undefined }) | undefined;
  /** Carries the requests, where one stands between this host and the server. */
  readonly proxy?: Proxy | undefined;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  /** The largest part of a server-side copy in parts, default 512 MiB. */
  readonly copyPartBytes?: number | undefined;
}

/** How to reach and use S3; the bucket and prefix are in the remote's URL. */
export type S3Options = Omit<S3Settings, 'bucket' | 'prefix' | 'retry' | 'proxy'> & {
  readonly retry?: Partial<Omit<RetryPolicy, 'clock'>> | undefined;
};
