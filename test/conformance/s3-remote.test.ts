import { describe, it } from 'vitest';
import { createS3Remote } from '../../src/remotes/s3/s3-remote.ts';
import { realS3, usesOwnServer } from '../support/s3.ts';
import { startS3Server } from '../support/s3-server.ts';
import { describeRemote } from './remote-conformance.ts';

const partSizeBytes = 5 * 1024 * 1024;

if (usesOwnServer) {
  describeRemote('S3 remote on the server in this process', async () => {
    const server = await startS3Server();
    server.createBucket('bucket');
    const { endpoint, accessKeyId, secretAccessKey } = server;
    const credentials = { accessKeyId, secretAccessKey };
    const remote = createS3Remote({
      bucket: 'bucket',
      prefix: 'some/prefix',
      endpoint,
      credentials,
      partSizeBytes,
    });
    return {
      remote,
      close: async () => {
        await remote.close();
        await server.close();
      },
    };
  });
}

const real = realS3();
if (real === undefined) {
  describe('S3 remote on a real server', () => {
    it.skip('needs SYNC_AGENT_TEST_S3_ENDPOINT');
  });
} else {
  const { accessKeyId, secretAccessKey, endpoint, region } = real;
  describeRemote(`S3 remote on ${endpoint}`, async () => {
    const bucket = await real.makeBucket();
    const credentials = { accessKeyId, secretAccessKey };
    const remote = createS3Remote({
      bucket,
      prefix: 'some/prefix',
      endpoint,
      region,
      credentials,
      partSizeBytes,
    });
    return { remote, close: () => remote.close() };
  });
}
