import { randomBytes } from 'node:crypto';
import { realS3 } from './s3.ts';
import { startS3Server } from './s3-server.ts';

export interface AnyS3 {
  readonly name: string;
  /** For processes that use it: endpoint, region and credentials. */
  readonly env: Readonly<Record<string, string>>;
  readonly bucket: string;
  close(): Promise<void>;
}

/** A bucket on the real server where one is named, else on an in-process one. */
export async function openAnyS3(): Promise<AnyS3> {
  const real = realS3();
  if (real !== undefined) {
    return { name: 'real', env: envOf(real), bucket: await real.makeBucket(), close: async () => undefined };
  }
  const server = await startS3Server();
  const bucket = `test-${randomBytes(6).toString('hex')}`;
  server.createBucket(bucket);
  return { name: 'in-process', env: envOf(server), bucket, close: () => server.close() };
}

function envOf(server: {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}): Readonly<Record<string, string>> {
  return {
    AWS_ENDPOINT_URL_S3: server.endpoint,
    AWS_REGION: server.region,
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
  };
}
