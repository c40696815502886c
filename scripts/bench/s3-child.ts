import { startS3Server } from '../../test/support/s3-server.ts';

/** The in-process S3 server, for a parent that measures others: creates the buckets it is told, ends with its parent. */
const server = await startS3Server();
process.on('message', (bucket: string) => {
  server.createBucket(bucket);
  process.send?.(bucket);
});
process.on('disconnect', () => void server.close().then(() => process.exit(0)));
process.send?.(server.endpoint);
