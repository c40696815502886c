import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { AgentSettings } from '../../src/in-process/agent-settings.ts';
import { openAnyS3 } from '../support/any-s3.ts';
import type { AnyS3 } from '../support/any-s3.ts';
import { childScript } from '../support/child-script.ts';
import { fastTmp } from '../support/host.ts';

const writers = 8;
const commitsPerWriter = Number(process.env['SYNC_AGENT_TEST_COMMITS'] ?? 2);
const total = writers * commitsPerWriter;
const { file, execArgv } = childScript('commit-many-child');

let s3: AnyS3;
let root: string;

beforeAll(async () => {
  s3 = await openAnyS3();
  root = await mkdtemp(join(fastTmp, 'sync-agent-writers-'));
});

afterAll(async () => {
  await s3?.close();
  await rm(root, { recursive: true, force: true });
});

function settingsOf(host: string): AgentSettings {
  const { env } = s3;
  return {
    store: join(root, host),
    remote: `s3://${s3.bucket}/writers`,
    host,
    keepLast: 100_000,
    s3: {
      endpoint: env['AWS_ENDPOINT_URL_S3'],
      region: env['AWS_REGION'],
      credentials: {
        accessKeyId: env['AWS_ACCESS_KEY_ID'] ?? '',
        secretAccessKey: env['AWS_SECRET_ACCESS_KEY'] ?? '',
      },
    },
  };
}

describe('processes that back up to one remote at once', () => {
  it(
    `make exactly ${total} commits, each readable`,
    async () => {
      await Promise.all(
        Array.from({ length: writers }, (_, index) => {
          const work = { settings: settingsOf(`writer-${index}`), commits: commitsPerWriter };
          return promisify(execFile)(process.execPath, [...execArgv, file, JSON.stringify(work)]);
        }),
      );
      const agent = createAgent(settingsOf('nobody'));
      try {
        const snapshots = await agent.list();
        expect(snapshots.map((each) => each.generation)).toEqual(
          Array.from({ length: total }, (_, index) => index + 1),
        );
        for (let index = 0; index < writers; index += 1) {
          const own = snapshots.filter((each) => each.host === `writer-${index}`);
          expect(own).toHaveLength(commitsPerWriter);
          // Each grew from its host's one before, whoever committed in between.
          expect(own.slice(1).map((each) => each.parent)).toEqual(own.slice(0, -1).map((each) => each.id));
        }
        const report = await agent.verify({ all: true, readData: true });
        expect(report).toMatchObject({ isSound: true, damagedCommits: [] });
        expect(report.snapshots).toHaveLength(total);
      } finally {
        await agent.close();
      }
    },
    120_000 + total * 2_000,
  );
});
