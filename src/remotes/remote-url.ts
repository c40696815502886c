import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SyncAgentError } from '../platform/errors.ts';

export type RemoteLocation = S3Location | DirectoryLocation;

export interface S3Location {
  readonly type: 's3';
  readonly bucket: string;
  /** Without slashes at its ends; empty for the whole bucket. */
  readonly prefix: string;
}

export interface DirectoryLocation {
  readonly type: 'directory';
  /** Absolute, not `/`. */
  readonly path: string;
}

const bucketPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/;

/**
 * Parses `s3://bucket/prefix` or `file:///absolute/dir`. The prefix is taken as it stands, not percent-decoded, as
 * the AWS command line does. Throws USAGE; its message never repeats a credential that was put into the URL.
 */
export function parseRemote(text: string): RemoteLocation {
  const value = text.trim();
  if (/^s3:\/\//i.test(value)) return parseS3(value);
  if (/^file:/i.test(value)) return parseFile(value);
  throw unusable(value, 'it is neither s3:// nor file://', remedyForUnknown(value));
}

/** The canonical text, from which `parseRemote` makes the same location. */
export function formatRemote(location: RemoteLocation): string {
  switch (location.type) {
    case 's3':
      return location.prefix === ''
        ? `s3://${location.bucket}`
        : `s3://${location.bucket}/${location.prefix}`;
    case 'directory':
      return pathToFileURL(location.path).href;
    default:
      return location satisfies never;
  }
}

function parseS3(value: string): S3Location {
  const [bucket = '', ...segments] = value.slice('s3://'.length).split('/');
  if (/[:@]/.test(bucket)) {
    throw unusable(
      value,
      'credentials and ports do not belong into it',
      'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    );
  }
  if (/[?#]/.test(value)) {
    throw unusable(value, '"?" and "#" have no meaning in it', 'Pass the endpoint and the region as options');
  }
  if (bucket === '') throw unusable(value, 'it names no bucket', 'Write s3://bucket/prefix');
  if (!bucketPattern.test(bucket)) {
    throw unusable(
      value,
      `"${bucket}" is not a bucket name`,
      'Write s3://bucket/prefix, and the server as --s3-endpoint',
    );
  }
  const kept = segments.filter((segment) => segment !== '');
  for (const segment of kept) {
    if (segment === '.' || segment === '..')
      throw unusable(value, `its prefix has a segment "${segment}"`, 'Write it out');
    // eslint-disable-next-line no-control-regex -- these are what is refused
    if (/[\u0000-\u001f\u007f]/.test(segment))
      throw unusable(value, 'its prefix has a control character', 'Remove it');
  }
  return { type: 's3', bucket, prefix: kept.join('/') };
}

function parseFile(value: string): DirectoryLocation {
  const rest = value.slice('file:'.length);
  if (!rest.startsWith('/')) {
    const suggestion = pathToFileURL(resolve(rest)).href;
    throw unusable(value, 'a directory remote is an absolute path', `Write ${suggestion}`);
  }
  if (/[?#]/.test(rest)) throw unusable(value, '"?" and "#" must be encoded', 'Write them as %3F and %23');
  if (/(^|\/)\.\.?(\/|$)/.test(rest))
    throw unusable(value, 'its path has a segment "." or ".."', 'Write it out');
  let path: string;
  try {
    const url = new URL(value);
    if (url.host !== '') throw new TypeError(`"${url.host}" is another host`);
    path = fileURLToPath(url);
  } catch (cause) {
    throw unusable(value, 'it is not a file URL of this host', 'Write file:///absolute/directory', cause);
  }
  const trimmed = path.replace(/\/{2,}/g, '/').replace(/\/$/, '');
  if (trimmed === '') throw unusable(value, 'it is the root directory', 'Name a directory of its own');
  if (trimmed.includes('\0')) throw unusable(value, 'its path has a NUL', 'Remove it');
  return { type: 'directory', path: trimmed };
}

function remedyForUnknown(value: string): string {
  const meant = meantBy(value);
  if (meant !== undefined) return meant;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(value) || value === '')
    return 'Write s3://bucket/prefix or file:///absolute/directory';
  return `For a directory, write ${pathToFileURL(resolve(value)).href}`;
}

/** What people paste instead of s3://bucket/prefix: consoles' addresses, other tools' schemes, half a scheme. */
function meantBy(value: string): string | undefined {
  const slip = /^(?:s3:\/?|s3\/\/|arn:aws[\w-]*:s3:::)([^/:@\s].*)$/i.exec(value)?.[1];
  if (slip !== undefined) return `Write s3://${slip}`;
  const google = /^gs:\/\/(.+)$/i.exec(value)?.[1];
  if (google !== undefined) return `Write s3://${google}, and --s3-endpoint https://storage.googleapis.com`;
  if (!/^https?:/i.test(value) || !URL.canParse(value)) return undefined;
  const { protocol, host, pathname } = new URL(value);
  const path = pathname.replaceAll(/^\/+|\/+$/g, '');
  const amazon = /^(?:(.+)\.)?s3[.-](?:[\w-]+\.)*amazonaws\.com$/.exec(host);
  if (amazon !== null) return `Write s3://${[amazon[1], path].filter(Boolean).join('/') || 'bucket/prefix'}`;
  return `Write s3://${path === '' ? 'bucket/prefix' : path}, and the server as --s3-endpoint ${protocol}//${host}`;
}

function unusable(value: string, complaint: string, remedy: string, cause?: unknown): SyncAgentError {
  // eslint-disable-next-line no-control-regex -- a control character must not reach a terminal
  const shown = redact(value).replace(/[\u0000-\u001f\u007f]/g, '?');
  return new SyncAgentError('USAGE', `Cannot use "${shown}" as the remote: ${complaint}`, {
    remedy,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Cuts out `key:secret@`; a secret key may hold slashes, and whoever typed it may have forgotten the "@". */
function redact(value: string): string {
  return value.replace(/\/\/.*@/, '//***@').replace(/\/\/[^/*]*:.*$/, '//***');
}
