import { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { isTimed, tellSent } from '../../wrappers/deadline.ts';

const sliceBytes = 64 * 1024;

interface Handler {
  handle(request: object, options?: { readonly abortSignal?: object }): Promise<unknown>;
}

/**
 * Sends the bodies of a client's requests slice by slice, so that it can be seen whether the server takes them. A body that is
 * written at once tells nothing until the answer. Bodies are signed by then, and their length is in a header.
 */
export function paceBodies(client: S3Client): void {
  const handler = client.config.requestHandler as unknown as Handler;
  const handle = handler.handle.bind(handler);
  handler.handle = (request, options) => handle(paced(request, options?.abortSignal), options);
}

function paced(request: object, abortSignal: object | undefined): object {
  const { body } = request as { readonly body?: unknown };
  if (!(body instanceof Uint8Array) || body.byteLength <= sliceBytes || !isTimed(abortSignal)) return request;
  const stream = Readable.from(slices(body, abortSignal), { objectMode: true, highWaterMark: 1 });
  return Object.assign(Object.create(Object.getPrototypeOf(request) as object) as object, request, {
    body: stream,
  });
}

/** When a slice is asked for, those before it have left. */
function* slices(body: Uint8Array, abortSignal: object | undefined): Generator<Uint8Array> {
  for (let start = 0; start < body.byteLength; start += sliceBytes) {
    const slice = body.subarray(start, start + sliceBytes);
    yield slice;
    tellSent(abortSignal, slice.byteLength);
  }
}
