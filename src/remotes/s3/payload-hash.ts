import { createHash } from 'node:crypto';

export interface Payload {
  readonly bytes: Uint8Array;
  /** Without it the signer hashes the bytes once more. */
  readonly sha256?: string | undefined;
  /** Shared by all requests to one server: whether it has asked for Content-MD5. */
  readonly md5: { isAsked: boolean };
}

type Middleware = (next: (args: Args) => Promise<object>) => (args: Args) => Promise<object>;

interface Args {
  readonly request: { readonly headers: Record<string, string> };
}

/**
 * Gives a command's request the hash of its body as `x-amz-content-sha256`. That is part of the signature, and servers
 * refuse a body that does not match it (AWS Signature Version 4), so no other checksum is sent. Buckets with Object Lock
 * ask for Content-MD5 all the same (AWS, MinIO): the request is repeated with it, and later ones carry it from the start.
 */
export function withPayloadHash<T extends object>(command: T, { bytes, sha256, md5 }: Payload): T {
  const addHash: Middleware = (next) => async (args) => {
    const { headers } = args.request;
    if (sha256 !== undefined) headers['x-amz-content-sha256'] = sha256;
    const addMd5 = (): void => {
      headers['content-md5'] = createHash('md5').update(bytes).digest('base64');
    };
    const isSent = md5.isAsked;
    if (isSent) addMd5();
    try {
      return await next(args);
    } catch (error) {
      if (isSent || !asksForMd5(error)) throw error;
      md5.isAsked = true;
      addMd5();
      return next(args);
    }
  };
  const { middlewareStack } = command as {
    readonly middlewareStack: { add(middleware: Middleware, options: object): void };
  };
  middlewareStack.add(addHash, { step: 'build', name: 'payloadHash', priority: 'low' });
  return command;
}

const asksForMd5 = (error: unknown): boolean =>
  error instanceof Error && /content-?md5/i.test(`${error.name} ${error.message}`);
