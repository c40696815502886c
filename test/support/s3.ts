import { randomBytes } from 'node:crypto';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';

export interface RealS3 {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** A client of its own for every caller, for the caller to destroy. */
  client(): S3Client;
  /** A new empty bucket; resolves to its name. Test servers are thrown away, so nobody deletes it. */
  makeBucket(): Promise<string>;
}

let warned = false;

/**
 * Whether a test for both servers runs on the one in this process. SYNC_AGENT_TEST_REQUIRE_S3=only leaves that out: CI has
 * run it before.
 */
export const usesOwnServer = process.env['SYNC_AGENT_TEST_REQUIRE_S3'] !== 'only';

/**
 * The real S3 server named by SYNC_AGENT_TEST_S3_ENDPOINT, with the usual AWS_* credentials; undefined, and a line on
 * stderr, if none is. For `describe.skipIf(realS3() === undefined)`. With SYNC_AGENT_TEST_REQUIRE_S3=1 or =only it throws instead.
 */
export function realS3(): RealS3 | undefined {
  const { env } = process;
  const endpoint = env['SYNC_AGENT_TEST_S3_ENDPOINT'];
  const accessKeyId = env['AWS_ACCESS_KEY_ID'];
  const secretAccessKey = env['AWS_SECRET_ACCESS_KEY'];
  const region = env['AWS_REGION'] ?? 'us-east-1';
  if (!endpoint || !accessKeyId || !secretAccessKey) {
    const reason =
      'SYNC_AGENT_TEST_S3_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must name a server, ' +
      'such as one of scripts/s3-server.sh';
    if (['1', 'only'].includes(env['SYNC_AGENT_TEST_REQUIRE_S3'] ?? ''))
      throw new Error(`SYNC_AGENT_TEST_REQUIRE_S3 is set, but ${reason}`);
    if (!warned) process.stderr.write(`\nSKIPPING every test on a real S3 server: ${reason}\n\n`);
    warned = true;
    return undefined;
  }

  const client = (): S3Client =>
    new S3Client({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
  return {
    endpoint,
    region,
    accessKeyId,
    secretAccessKey,
    client,
    async makeBucket() {
      const Bucket = `sync-agent-test-${randomBytes(6).toString('hex')}`;
      const s3 = client();
      try {
        await s3.send(new CreateBucketCommand({ Bucket }));
      } finally {
        s3.destroy();
      }
      return Bucket;
    },
  };
}
