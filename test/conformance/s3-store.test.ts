import { describe, it } from 'vitest';
import { createS3Store } from '../../src/remotes/s3/s3-store.ts';
import { realS3 } from '../support/s3.ts';
import { startS3Server } from '../support/s3-server.ts';
import { describeObjectStore } from './object-store.ts';

const partSizeBytes = 5 * 1024 * 1024;

describeObjectStore('S3 store on the server in this process', async () => {
  const server = await startS3Server();
  server.createBucket('bucket');
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const credentials = { accessKeyId, secretAccessKey };
  const store = createS3Store({
    bucket: 'bucket',
    prefix: 'some/prefix',
    endpoint,
    credentials,
    partSizeBytes,
  });
  return {
    store,
    close: async () => {
      await store.close();
      await server.close();
    },
  };
});

const real = realS3();
if (real === undefined) {
  describe('S3 store on a real server', () => {
    it.skip('needs SYNC_AGENT_TEST_S3_ENDPOINT');
  });
} else {
  const { accessKeyId, secretAccessKey, endpoint, region } = real;
  describeObjectStore(`S3 store on ${endpoint}`, async () => {
    const bucket = await real.makeBucket();
    const credentials = { accessKeyId, secretAccessKey };
    const store = createS3Store({
      bucket,
      prefix: 'some/prefix',
      endpoint,
      region,
      credentials,
      partSizeBytes,
    });
    return { store, close: () => store.close() };
  });
}
