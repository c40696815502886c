import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListMultipartUploadsCommandOutput,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { SyncAgentError, throwIfAborted } from '../../platform/errors.ts';
import { compareKeys } from '../key.ts';
import type { CallOptions, DirectoryListing, ListOptions, ListPage } from '../remote.ts';
import { isUnsupported, serverErrorName } from './errors/s3-errors.ts';
import type { S3Call, S3Session } from './connection/s3-session.ts';

/** Pages of ListObjectsV2. Rejects where the server breaks the order that `Remote` promises. */
export async function* listObjects(
  session: S3Session,
  prefix: string,
  options: ListOptions,
): AsyncGenerator<ListPage> {
  const call = session.call('list', prefix, options);
  let last = options.startAfter ?? '';
  for await (const page of pagesOf(session, prefix, options, call)) {
    const objects = (page.Contents ?? []).map(({ Key = '', Size = 0, LastModified }) => {
      const key = decodeKey(Key, page.EncodingType);
      assertAskedFor(key, prefix, call);
      if (compareKeys(key, last) <= 0) {
        throw new SyncAgentError(
          'REMOTE_UNREACHABLE',
          `Cannot ${call.action}: the server does not list in order`,
          {
            remedy: 'Use a general purpose bucket; directory buckets cannot hold a remote',
          },
        );
      }
      last = key;
      return { key, size: Size, lastModified: session.known(LastModified, call) };
    });
    yield { objects, serverTime: session.serverTime(page, call) };
  }
}

export async function listDirectories(
  session: S3Session,
  prefix: string,
  options: CallOptions,
): Promise<DirectoryListing> {
  const call = session.call('listDirectories', prefix, options);
  const names: string[] = [];
  let serverTime = new Date(0);
  for await (const page of pagesOf(session, prefix, { delimiter: '/' }, call)) {
    for (const { Prefix = '' } of page.CommonPrefixes ?? []) {
      const path = decodeKey(Prefix, page.EncodingType);
      assertAskedFor(path, prefix, call);
      const name = path.slice(prefix.length, -1);
      if (name !== '') names.push(name);
    }
    serverTime = session.serverTime(page, call);
  }
  return { names: names.toSorted(compareKeys), serverTime };
}

/**
 * Aborts the unfinished uploads below `prefix` begun before `before`; resolves to their number. A server that cannot list
 * them is left to its own rules.
 */
export async function sweepUploads(
  session: S3Session,
  prefix: string,
  before: Date,
  options: CallOptions,
): Promise<number> {
  const call = {
    ...session.call('sweepUploads', prefix, options),
    remedyIfDenied:
      'Allow s3:ListBucketMultipartUploads and s3:AbortMultipartUpload, or let the bucket expire incomplete uploads',
  };
  const { bucket: Bucket } = session.settings;
  let swept = 0;
  let markers = {};
  for (;;) {
    throwIfAborted(call.signal, call.action);
    const command = new ListMultipartUploadsCommand({
      Bucket,
      Prefix: prefix,
      EncodingType: 'url',
      ...markers,
    });
    const page: ListMultipartUploadsCommandOutput | undefined = await session
      .send(call, (sending) => session.client.send(command, sending))
      .catch((error: unknown) => {
        if (isUnsupported(error)) return undefined;
        throw error;
      });
    if (page === undefined) return swept;
    for (const { Key = '', UploadId, Initiated } of page.Uploads ?? []) {
      const key = decodeKey(Key, page.EncodingType);
      // Some servers take `prefix` for a hint only.
      if (Initiated === undefined || Initiated >= before || !key.startsWith(prefix)) continue;
      const abort = new AbortMultipartUploadCommand({ ...session.object(key), UploadId });
      await session
        .send(call, (sending) => session.client.send(abort, sending))
        .catch((error: unknown) => {
          if (serverErrorName(error) !== 'NoSuchUpload') throw error;
        });
      swept += 1;
    }
    if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return swept;
    const KeyMarker = decodeKey(page.NextKeyMarker, page.EncodingType);
    markers = {
      KeyMarker,
      ...(page.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: page.NextUploadIdMarker }),
    };
  }
}

async function* pagesOf(
  session: S3Session,
  prefix: string,
  selection: ListOptions & { readonly delimiter?: string },
  call: S3Call,
): AsyncGenerator<ListObjectsV2CommandOutput> {
  let position: { StartAfter?: string; ContinuationToken?: string } =
    selection.startAfter === undefined ? {} : { StartAfter: selection.startAfter };
  for (;;) {
    throwIfAborted(call.signal, call.action);
    const command = new ListObjectsV2Command({
      Bucket: session.settings.bucket,
      Prefix: prefix,
      EncodingType: 'url',
      ...(selection.delimiter === undefined ? {} : { Delimiter: selection.delimiter }),
      ...(selection.pageSize === undefined ? {} : { MaxKeys: selection.pageSize }),
      ...position,
    });
    const page = await session.send(call, (sending) => session.client.send(command, sending));
    // An empty answer, or another document, parses as a listing of nothing.
    if (page.IsTruncated === undefined && page.Name === undefined) throw notAListing(call);
    yield page;
    if (page.IsTruncated !== true) return;
    if (page.NextContinuationToken === undefined) {
      throw new SyncAgentError(
        'REMOTE_UNREACHABLE',
        `Cannot ${call.action}: the server did not say how to go on`,
      );
    }
    position = { ContinuationToken: page.NextContinuationToken };
  }
}

/** A server that encodes keys and does not say so would otherwise seem to hold nothing. */
function assertAskedFor(key: string, prefix: string, { action }: S3Call): void {
  if (key.startsWith(prefix)) return;
  throw new SyncAgentError('REMOTE_UNREACHABLE', `Cannot ${action}: the server lists "${key}" instead`);
}

function notAListing({ action }: S3Call): SyncAgentError {
  return new SyncAgentError('REMOTE_UNREACHABLE', `Cannot ${action}: the answer is not a listing`, {
    retryable: true,
  });
}

/** Listings are asked for URL-encoded, since XML 1.0 cannot hold every key; servers say so if they complied. */
function decodeKey(key: string, encoding: string | undefined): string {
  return encoding === 'url' ? decodeURIComponent(key.replaceAll('+', ' ')) : key;
}
