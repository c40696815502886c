import { unusableUrl } from '../unusable-url.ts';

export interface S3Place {
  readonly bucket: string;
  /** Without slashes at its ends; empty for the whole bucket. */
  readonly prefix: string;
}

const bucketPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/;

/** Reads `s3://bucket/prefix`. The prefix is taken as it stands, not percent-decoded, as the AWS command line does. */
export function parseS3Url(url: string): S3Place {
  if (!/^s3:\/\//i.test(url)) {
    throw unusableUrl(url, 'it does not begin with s3://', recogniseS3(url) ?? 'Write s3://bucket/prefix');
  }
  const [bucket = '', ...segments] = url.slice('s3://'.length).split('/');
  if (/[:@]/.test(bucket)) {
    throw unusableUrl(
      url,
      'credentials and ports do not belong into it',
      'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    );
  }
  if (/[?#]/.test(url)) {
    throw unusableUrl(
      url,
      '"?" and "#" have no meaning in it',
      'Pass the endpoint and the region as options',
    );
  }
  if (bucket === '') throw unusableUrl(url, 'it names no bucket', 'Write s3://bucket/prefix');
  if (!bucketPattern.test(bucket)) {
    throw unusableUrl(
      url,
      `"${bucket}" is not a bucket name`,
      'Write s3://bucket/prefix, and the server as --s3-endpoint',
    );
  }
  const kept = segments.filter((segment) => segment !== '');
  for (const segment of kept) {
    if (segment === '.' || segment === '..')
      throw unusableUrl(url, `its prefix has a segment "${segment}"`, 'Write it out');
    // eslint-disable-next-line no-control-regex -- these are what is refused
    if (/[\u0000-\u001f\u007f]/.test(segment))
      throw unusableUrl(url, 'its prefix has a control character', 'Remove it');
  }
  return { bucket, prefix: kept.join('/') };
}

export function formatS3Url({ bucket, prefix }: S3Place): string {
  return prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}`;
}

/** What people paste instead of s3://bucket/prefix: addresses of consoles, schemes of other tools, half a scheme. */
export function recogniseS3(text: string): string | undefined {
  const slip = /^(?:s3:\/?|s3\/\/|arn:aws[\w-]*:s3:::)([^/:@\s].*)$/i.exec(text)?.[1];
  if (slip !== undefined) return `Write s3://${slip}`;
  const google = /^gs:\/\/(.+)$/i.exec(text)?.[1];
  if (google !== undefined) return `Write s3://${google}, and --s3-endpoint https://storage.googleapis.com`;
  if (!/^https?:/i.test(text) || !URL.canParse(text)) return undefined;
  const { protocol, host, pathname } = new URL(text);
  const path = pathname.replaceAll(/^\/+|\/+$/g, '');
  const amazon = /^(?:(.+)\.)?s3[.-](?:[\w-]+\.)*amazonaws\.com$/.exec(host);
  if (amazon !== null) return `Write s3://${[amazon[1], path].filter(Boolean).join('/') || 'bucket/prefix'}`;
  const [, bucket, service = host] = bucketInHost.map((each) => each.exec(host)).find(Boolean) ?? [];
  const place = [bucket, path].filter(Boolean).join('/') || 'bucket/prefix';
  return `Write s3://${place}, and the server as --s3-endpoint ${protocol}//${service}`;
}

/** Services other than Amazon's that name the bucket in the host: the bucket, and the host of the service. */
const bucketInHost: readonly RegExp[] = [
  /^([\w.-]+)\.([\w-]+\.(?:cdn\.)?digitaloceanspaces\.com)$/,
  /^([\w.-]+)\.(s3\.[\w-]+\.(?:backblazeb2|wasabisys)\.com)$/,
  /^([\w.-]+)\.([\w-]+\.your-objectstorage\.com)$/,
  /^([\w.-]+)\.([0-9a-f]{32}(?:\.\w+)?\.r2\.cloudflarestorage\.com)$/,
  /^([\w.-]+)\.(storage\.googleapis\.com)$/,
];
