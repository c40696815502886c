import { DeleteObjectCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3';
import { concurrently } from '../../platform/concurrently.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import { describeKeys } from '../describe-call.ts';
import { assertKey } from '../key.ts';
import type { CallOptions } from '../remote.ts';
import { fromS3, isUnsupported, serverErrorName } from './errors/s3-errors.ts';
import type { S3Call, S3Session } from './connection/s3-session.ts';

const keysPerRequest = 1000;
const singlesInFlight = 8;

/** Removes by DeleteObjects, and one by one from the moment the server turns out not to know it. */
export class S3Remover {
  readonly #session: S3Session;
  #inBulk = true;

  constructor(session: S3Session) {
    this.#session = session;
  }

  async remove(keys: readonly string[], options: CallOptions): Promise<void> {
    for (const key of keys) assertKey(key);
    const call = this.#session.call(
      'remove',
      describeKeys(keys.map((key) => this.#session.shown(key))),
      options,
    );
    // XML 1.0 has no way to write most control characters, and one key is a request in either form.
    const single = keys.length === 1 ? [...keys] : keys.filter((key) => !fitsXml(key));
    const bulk = keys.length === 1 ? [] : keys.filter(fitsXml);
    for (let index = 0; index < bulk.length; index += keysPerRequest) {
      const batch = bulk.slice(index, index + keysPerRequest);
      if (!this.#inBulk || !(await this.#removeBatch(batch, call))) single.push(...batch);
    }
    await concurrently(single, { concurrency: singlesInFlight, signal: call.signal }, async (key, signal) => {
      const command = new DeleteObjectCommand(this.#session.object(key));
      await this.#session
        .send({ ...call, signal }, (sending) => this.#session.client.send(command, sending))
        .catch((error: unknown) => {
          if (!isMissingKey(error)) throw error;
        });
    });
  }

  /** False, for good, if the server cannot remove several objects in one request. */
  async #removeBatch(keys: readonly string[], call: S3Call): Promise<boolean> {
    const Delete = { Quiet: true, Objects: keys.map((Key) => ({ Key })) };
    const command = new DeleteObjectsCommand({ Bucket: this.#session.settings.bucket, Delete });
    const output = await this.#session
      .send(call, (sending) => this.#session.client.send(command, sending), {
        ms: this.#session.stallTimeoutMs,
      })
      .catch((error: unknown) => {
        if (isUnsupported(error) || serverErrorName(error) === 'MalformedXML') return undefined;
        throw error;
      });
    if (output === undefined) {
      this.#inBulk = false;
      return false;
    }
    for (const { Code = 'UnknownError', Message, Key = '' } of output.Errors ?? []) {
      if (Code === 'NoSuchKey') continue;
      const status = statusOfDeleteError(Code);
      const error = Object.assign(new Error(Message ?? Code), {
        name: Code,
        $metadata: { httpStatusCode: status },
      });
      throw fromS3(error, { ...call, action: this.#session.call('remove', Key, call).action });
    }
    return true;
  }
}

function fitsXml(key: string): boolean {
  // eslint-disable-next-line no-control-regex -- these are what does not fit
  return !/[\u0000-\u001f\ufffe\uffff]/.test(key);
}

function statusOfDeleteError(code: string): number {
  if (code === 'AccessDenied') return 403;
  return /^(InternalError|ServiceUnavailable|SlowDown)$/.test(code) ? 503 : 400;
}

function isMissingKey(error: unknown): boolean {
  return isSyncAgentError(error, 'NOT_FOUND') && serverErrorName(error) !== 'NoSuchBucket';
}
