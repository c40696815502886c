import { execFile, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  CreateBucketCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../s3-server.sh', import.meta.url));

export interface BenchS3 {
  readonly description: string;
  readonly endpoint: string;
  /** AWS_ACCESS_KEY_ID and what else a client needs. */
  readonly env: Readonly<Record<string, string>>;
  /** Of the server's processes, where it is ours. */
  readonly pids: readonly number[];
  makeBucket(name: string): Promise<void>;
  /** Gives the space of deleted objects back, where that is in our hands. */
  collect(): Promise<void>;
  /** Deletes a bucket's objects, and gives their space back where that is in our hands. */
  empty(name: string): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Ceph RGW where it is installed; else the server that SYNC_AGENT_TEST_S3_ENDPOINT names; else the test suite's own
 * server in a process of its own, which is fit for trying the benchmark out, not for its figures.
 */
export async function startS3(dir: string): Promise<BenchS3> {
  const { env } = process;
  const given = env['SYNC_AGENT_TEST_S3_ENDPOINT'];
  if (spawnSync('radosgw', ['--version']).status === 0) return startCeph(dir);
  if (given !== undefined && given !== '') {
    const keys = {
      AWS_ACCESS_KEY_ID: env['AWS_ACCESS_KEY_ID'] ?? '',
      AWS_SECRET_ACCESS_KEY: env['AWS_SECRET_ACCESS_KEY'] ?? '',
      AWS_REGION: env['AWS_REGION'] ?? 'us-east-1',
    };
    return makeS3(`the server at ${given}`, given, keys, async () => {});
  }
  return startOwn();
}

async function startCeph(dir: string): Promise<BenchS3> {
  const { stdout } = await run(script, ['start', dir, '0'], { env: { ...process.env, S3_SERVER_GIB: '10' } });
  const variables = Object.fromEntries(
    [...stdout.matchAll(/^export (\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
  );
  const { SYNC_AGENT_TEST_S3_ENDPOINT: endpoint = '', ...keys } = variables;
  const version = (await run('radosgw', ['--version'])).stdout.split(' ')[2] ?? '';
  const configuration = `${dir}/ceph.conf`;
  const collect = async (): Promise<void> => {
    await run('radosgw-admin', ['-c', configuration, 'gc', 'process', '--include-all']);
  };
  const s3 = makeS3(`Ceph RGW ${version} on the same machine, objects in memory`, endpoint, keys, collect);
  const pids = readdirSync(join(dir, 'run'))
    .filter((name) => name.endsWith('.pid'))
    .map((name) => Number(readFileSync(join(dir, 'run', name), 'utf8')));
  return { ...s3, pids, stop: async () => void (await run(script, ['stop', dir])) };
}

async function startOwn(): Promise<BenchS3> {
  const child = fork(fileURLToPath(new URL('s3-child.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
  });
  const [endpoint] = (await once(child, 'message')) as [string];
  const keys = {
    AWS_ACCESS_KEY_ID: 'testkey',
    AWS_SECRET_ACCESS_KEY: 'testsecret',
    AWS_REGION: 'us-east-1',
  };
  const s3 = makeS3(
    "the test suite's own S3 server in Node.js, bodies on disk",
    endpoint,
    keys,
    async () => {},
  );
  return {
    ...s3,
    pids: child.pid === undefined ? [] : [child.pid],
    makeBucket: async (name) => {
      child.send(name);
      await once(child, 'message');
    },
    stop: async () => {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

function makeS3(
  description: string,
  endpoint: string,
  env: Readonly<Record<string, string>>,
  collect: () => Promise<void>,
): BenchS3 {
  const client = new S3Client({
    endpoint,
    region: env['AWS_REGION'] ?? 'us-east-1',
    forcePathStyle: true,
    credentials: {
      accessKeyId: env['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: env['AWS_SECRET_ACCESS_KEY'] ?? '',
    },
  });
  return {
    description,
    endpoint,
    env,
    pids: [],
    collect,
    makeBucket: async (Bucket) => void (await client.send(new CreateBucketCommand({ Bucket }))),
    empty: async (Bucket) => {
      for (;;) {
        const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
        if (Contents.length === 0) break;
        const Objects = Contents.map(({ Key }) => ({ Key }));
        await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } }));
      }
      await collect();
    },
    stop: async () => client.destroy(),
  };
}
