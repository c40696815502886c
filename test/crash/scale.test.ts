import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Agent } from '../../src/api/agent.ts';
import { createDirectoryRemote } from '../../src/remotes/directory/directory-remote.ts';
import { createS3Remote } from '../../src/remotes/s3/s3-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { fastTmp } from '../support/host.ts';
import { startS3Server } from '../support/s3-server.ts';

const MiB = 1024 * 1024;
const isAsked = process.env['SYNC_AGENT_TEST_SCALE'] === '1';
/** Takes minutes, so it is not even counted as skipped where nobody asked for it. */
const itWhenAsked: (name: string, run: () => Promise<void>, timeout: number) => void = isAsked
  ? it
  : () => undefined;
const manyFiles = isAsked ? 100_000 : 5_000;
/** Of this whole process, vitest and the remote included. */
const rssLimit = 1024 * MiB;
if (!isAsked)
  process.stderr.write(`\nNOT RUN: 100,000 files, ${manyFiles} instead; set SYNC_AGENT_TEST_SCALE=1\n`);

describe('a store of many files', () => {
  it(
    `of ${manyFiles} is backed up and restored, within bounded memory`,
    async () => {
      const root = await mkdtemp(join(fastTmp, 'sync-agent-scale-'));
      const watch = watchRss();
      try {
        const remote = createDirectoryRemote({ path: join(root, 'remote') });
        const [a, b] = [agentOn(join(root, 'a'), remote), agentOn(join(root, 'b'), remote)];
        for (let n = 0; n < manyFiles; n += 1) {
          const dir = join(root, 'a/store', `d${n % 100}`);
          if (n < 100) await mkdir(dir, { recursive: true });
          await writeFile(join(dir, `file-${n}`), `content ${n}`);
        }
        const seconds = {
          backup: await timed(() => a.backup()),
          unchanged: await timed(() => a.backup()),
          restore: await timed(() => b.restore()),
          verify: await timed(() => b.verify({ readData: true })),
        };
        const peak = watch.peakBytes();
        process.stderr.write(
          `\n${manyFiles} files: ${JSON.stringify(seconds)} s, peak RSS ${Math.round(peak / MiB)} MiB\n`,
        );
        expect(await b.backup()).toMatchObject({ type: 'unchanged' });
        expect((await readdir(join(root, 'b/store'), { recursive: true })).length).toBe(manyFiles + 100);
        expect(peak).toBeLessThan(rssLimit);
      } finally {
        watch.stop();
        await rm(root, { recursive: true, force: true });
      }
    },
    isAsked ? 1_800_000 : 180_000,
  );
});

describe('a big file', () => {
  it('beyond what a server copies or takes at once goes in parts, up, across and down', async () => {
    // 5 GiB are the limits of AWS; the same code runs at any size when the server's limit and the parts are small.
    const server = await startS3Server({ maxCopyBytes: 8 * MiB });
    const root = await mkdtemp(join(tmpdir(), 'sync-agent-big-'));
    try {
      server.createBucket('big');
      const remote = createS3Remote({
        bucket: 'big',
        endpoint: server.endpoint,
        region: server.region,
        credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
        partSizeBytes: 5 * MiB,
        copyPartBytes: 5 * MiB,
        forcePathStyle: true,
      });
      const [a, b] = [agentOn(join(root, 'a'), remote), agentOn(join(root, 'b'), remote)];
      await mkdir(join(root, 'a/store'), { recursive: true });
      await writeFile(join(root, 'a/store/big'), Buffer.alloc(53 * MiB + 7, 'big'));
      await writeFile(join(root, 'a/store/small'), 'small');
      expect((await a.backup()).type).toBe('committed');
      await writeFile(join(root, 'a/store/small'), 'changed');
      expect(await a.backup()).toMatchObject({ type: 'committed', uploadBytes: 7 });
      expect((await b.restore()).type).toBe('restored');
      expect(await digestOf(join(root, 'b/store/big'))).toBe(await digestOf(join(root, 'a/store/big')));
      expect(server.unfinishedUploads()).toBe(0);
      await remote.close();
    } finally {
      await server.close();
      await rm(root, { recursive: true, force: true });
    }
  });

  itWhenAsked(
    'of more than 5 GiB, sparse, comes back byte for byte',
    async () => {
      const root = await mkdtemp(join(tmpdir(), 'sync-agent-huge-'));
      try {
        const size = 5 * 1024 * MiB + 4097;
        const remote = createDirectoryRemote({ path: join(root, 'remote') });
        const [a, b] = [agentOn(join(root, 'a'), remote), agentOn(join(root, 'b'), remote)];
        await mkdir(join(root, 'a/store'), { recursive: true });
        const file = await open(join(root, 'a/store/huge'), 'w');
        await file.truncate(size);
        for (const position of [0, 2 ** 31, 2 ** 32 - 2, 2 ** 32 + 1, size - 4])
          await file.write('mark', position);
        await file.close();
        const seconds = { backup: await timed(() => a.backup()), restore: await timed(() => b.restore()) };
        process.stderr.write(`\n5 GiB: ${JSON.stringify(seconds)} s\n`);
        expect((await stat(join(root, 'b/store/huge'))).size).toBe(size);
        expect(await digestOf(join(root, 'b/store/huge'))).toBe(await digestOf(join(root, 'a/store/huge')));
      } finally {
        await rm(root, { recursive: true, force: true });
      }
    },
    1_800_000,
  );
});

function agentOn(root: string, remote: Remote): Agent {
  return createAgent(
    { store: join(root, 'store'), remote: 'file:///unused', host: root.slice(-1) },
    { remote, findStoreUsers: async () => [] },
  );
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return Math.round((performance.now() - started) / 100) / 10;
}

function watchRss(): { readonly peakBytes: () => number; readonly stop: () => void } {
  let peak = 0;
  const look = (): void => {
    peak = Math.max(peak, process.memoryUsage.rss());
  };
  const timer = setInterval(look, 50);
  return { peakBytes: () => (look(), peak), stop: () => clearInterval(timer) };
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path);
  for await (const chunk of file.createReadStream({ highWaterMark: MiB })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
