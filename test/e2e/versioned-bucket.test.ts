import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutBucketLifecycleConfigurationCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import type { BucketLifecycleConfiguration } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Agent } from '../../src/api/agent.ts';
import type { AgentEvent } from '../../src/platform/events.ts';
import { realS3 } from '../support/s3.ts';

describe.skipIf(realS3() === undefined)('a bucket that keeps old versions', () => {
  const s3 = realS3()!;
  let root: string;
  let bucket: string;
  let agent: Agent;
  let events: AgentEvent[];

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'sync-agent-versions-'));
    await mkdir(join(root, 'store'));
    await writeFile(join(root, 'store', 'f'), 'one');
    bucket = await s3.makeBucket();
    events = [];
    const { endpoint, region, accessKeyId, secretAccessKey } = s3;
    agent = createAgent(
      {
        store: join(root, 'store'),
        remote: `s3://${bucket}/app`,
        s3: { endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } },
      },
      { emit: (event) => events.push(event) },
    );
  });
  afterEach(async () => {
    await agent.close();
    await rm(root, { recursive: true, force: true });
  });

  const versioned = (): unknown =>
    events.find((event) => event.type === 'warning' && /versioned/.test(event.message));

  it('is told by doctor and prune, with a rule that the server takes', async () => {
    const client = s3.client();
    try {
      const VersioningConfiguration = { Status: 'Enabled' } as const;
      await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
      await agent.backup();
      // No backup asks: it costs a request, and nobody would read it each hour.
      expect(versioned()).toBeUndefined();
      await agent.prune();
      expect(versioned()).toBeDefined();
      const { checks } = await agent.doctor();
      const check = checks.find(({ name }) => name === 'versions');
      expect(check).toMatchObject({ status: 'warn' });
      const LifecycleConfiguration = JSON.parse(
        /\{.*\}/.exec(check?.remedy ?? '')?.[0] ?? '',
      ) as BucketLifecycleConfiguration;
      expect(LifecycleConfiguration.Rules).toMatchObject([{ Filter: { Prefix: 'app/' } }]);
      await client.send(
        new PutBucketLifecycleConfigurationCommand({ Bucket: bucket, LifecycleConfiguration }),
      );
    } finally {
      client.destroy();
    }
  });

  it('is not spoken of where there is none', async () => {
    await agent.backup();
    await agent.prune();
    expect(versioned()).toBeUndefined();
    expect((await agent.doctor()).checks.map(({ name }) => name)).not.toContain('versions');
  });
});
