import { appendFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startBuiltCli } from '../support/built-cli.ts';
import { startAgent } from '../support/running-agent.ts';
import type { LogLine, RunningAgent } from '../support/running-agent.ts';
import { startS3Server } from '../support/s3-server.ts';
import type { S3Server } from '../support/s3-server.ts';

let root: string;
let store: string;
let s3: S3Server;
let env: Readonly<Record<string, string>>;
const agents: RunningAgent[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-watching-'));
  store = join(root, 'store');
  await mkdir(store);
  await writeFile(join(store, 'a'), 'one');
  s3 = await startS3Server();
  s3.createBucket('bucket');
  env = {
    AWS_ENDPOINT_URL_S3: s3.endpoint,
    AWS_REGION: s3.region,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    SYNC_AGENT_STORE: store,
    SYNC_AGENT_REMOTE: 's3://bucket/app',
    SYNC_AGENT_HTTP: '127.0.0.1:0',
    SYNC_AGENT_SETTLE: '100ms',
  };
});
afterEach(async () => {
  for (const { child } of agents.splice(0)) child.kill('SIGKILL');
  await s3.close();
  await rm(root, { recursive: true, force: true });
});

function watch(settings: Readonly<Record<string, string>> = {}): RunningAgent {
  const agent = startAgent(['watch'], { ...env, ...settings });
  agents.push(agent);
  return agent;
}
const run = (...args: string[]) => startBuiltCli(args, env).done;
const isBackup = (line: LogLine): boolean => line['operation'] === 'backup';
const isCommitted = (line: LogLine): boolean => isBackup(line) && line['outcome'] === 'committed';
const instantOf = (line: LogLine): number => {
  const { id } = line['snapshot'] as { id: string };
  return Date.parse(id.slice(0, 24).replace(/T(\d\d)-(\d\d)-/, 'T$1:$2:'));
};

describe('sync-agent watch', () => {
  it('backs up after changes, at most once in an interval, and asks for nothing while nothing changes', async () => {
    const agent = watch({ SYNC_AGENT_INTERVAL: '2s' });
    const instants = [instantOf(await agent.saw('operation-finished', isCommitted))];
    for (let count = 0; count < 3; count += 1) {
      await appendFile(join(store, 'a'), 'more');
      instants.push(instantOf(await agent.saw('operation-finished', isCommitted)));
    }
    for (const [index, instant] of instants.slice(1).entries())
      expect(instant - (instants[index] ?? 0)).toBeGreaterThanOrEqual(2000);
    // A notification without a change asks the agent to look, and what it finds is worth no request.
    const before = s3.requests.length;
    expect(await run('notify')).toMatchObject({ exitCode: 0 });
    const look = await agent.saw('operation-finished', isBackup);
    expect(look).toMatchObject({ outcome: 'unchanged', requests: { list: 0, get: 0, put: 0 } });
    expect(s3.requests.length).toBe(before);
    expect(await agent.stop()).toMatchObject({ exitCode: 0 });
    expect(s3.requests.length).toBe(before);
  });

  it('saves what is left when it is told to end', async () => {
    const agent = watch({ SYNC_AGENT_INTERVAL: '1h' });
    await agent.saw('operation-finished', isCommitted);
    await writeFile(join(store, 'b'), 'unsaved');
    await agent.saw('changed');
    expect(await agent.stop('SIGINT')).toMatchObject({ exitCode: 0 });
    expect(agent.log.at(-1)).toMatchObject({ type: 'stopped', isSaved: true });
    const { stdout } = await run('show', 'latest', '--json');
    expect(stdout).toContain('"path": "b"');
  });

  it('says what it could not save within its budget, and leaves the remote clean', async () => {
    const agent = watch({ SYNC_AGENT_INTERVAL: '1h', SYNC_AGENT_SHUTDOWN_BUDGET: '4s' });
    await agent.saw('operation-finished', isCommitted);
    await writeFile(join(store, 'big'), Buffer.alloc(20 * 1024 * 1024, 7));
    await agent.saw('changed');
    // From now on every part of an upload takes longer than there is.
    s3.setFault(({ operation }) =>
      operation === 'UploadPart' ? { type: 'hang', when: 'before' } : undefined,
    );
    const begun = Date.now();
    const { exitCode } = await agent.stop();
    expect(Date.now() - begun).toBeLessThan(6000);
    expect(exitCode).toBe(130);
    const last = agent.log.at(-1);
    expect(last).toMatchObject({ type: 'stopped', isSaved: false });
    expect(last?.['unsavedSinceMs']).toBeGreaterThan(begun - 60_000);
    s3.setFault(undefined);
    expect(s3.unfinishedUploads()).toBe(0);
    expect(await readdir(join(root, '.store.sync-agent/staging')).catch(() => [])).toEqual([]);
  });

  it('tries a failed backup again within seconds, and tells status of it', async () => {
    // Status may read the remote while each backup fails, so it may take its time.
    s3.setFault(({ operation }) =>
      operation === 'PutObject' ? { type: 'status', status: 403, code: 'AccessDenied' } : undefined,
    );
    const agent = watch({ SYNC_AGENT_INTERVAL: '1h' });
    const failed = await agent.saw('operation-failed', isBackup);
    expect(failed).toMatchObject({ error: { code: 'DENIED' } });
    const waitMs = (failed['retryAtMs'] as number) - Date.parse(failed.time);
    expect(waitMs).toBeLessThanOrEqual(5000);
    const status = async () =>
      (JSON.parse((await run('status', '--json')).stdout) as { agent: Record<string, unknown> }).agent;
    // The event comes first, then the schedule goes by it, then that is written down.
    await expect.poll(async () => (await status())['failures'], { timeout: 90_000 }).toBeGreaterThan(0);
    expect(await status()).toMatchObject({ pid: agent.child.pid, lastError: { code: 'DENIED' } });
    expect((await run('status')).stdout).toMatch(/last error .*DENIED/);
    s3.setFault(undefined);
    await agent.saw('operation-finished', isCommitted);
    expect(await agent.stop()).toMatchObject({ exitCode: 0 });
  });

  it('is the only one beside its store, and names itself to a second one', async () => {
    const first = watch();
    await first.saw('started');
    const second = watch();
    const { exitCode, stdout } = await second.stop('SIGCONT');
    expect(exitCode, stdout).toBe(8);
    await first.stop('SIGKILL');
    // The lock went with its process.
    const third = watch();
    await third.saw('started');
    expect(await third.stop()).toMatchObject({ exitCode: 0 });
  });

  it('neither repeats nor skips an interval over a restart', async () => {
    const first = watch({ SYNC_AGENT_INTERVAL: '5s' });
    const before = instantOf(await first.saw('operation-finished', isCommitted));
    await first.stop('SIGKILL');
    await writeFile(join(store, 'b'), 'written while nobody watched');
    const second = watch({ SYNC_AGENT_INTERVAL: '5s' });
    expect(await second.saw('changed')).toMatchObject({ source: 'start' });
    const after = instantOf(await second.saw('operation-finished', isCommitted));
    expect(after - before).toBeGreaterThanOrEqual(5000);
    await second.stop();
  });

  it('notices changes without events', async () => {
    const agent = watch({
      SYNC_AGENT_INTERVAL: '1s',
      SYNC_AGENT_DETECT: 'poll',
      SYNC_AGENT_POLL_INTERVAL: '200ms',
      SYNC_AGENT_REMOTE: pathToFileURL(join(root, 'remote')).href,
    });
    await agent.saw('operation-finished', isCommitted);
    await writeFile(join(store, 'b'), 'b');
    expect(await agent.saw('changed')).toMatchObject({ source: 'polling' });
    await agent.saw('operation-finished', isCommitted);
    expect(await agent.stop()).toMatchObject({ exitCode: 0 });
  });

  it('backs up when it is asked over HTTP', async () => {
    const agent = watch({ SYNC_AGENT_INTERVAL: '1s' });
    const { url } = (await agent.saw('listening')) as unknown as { url: string };
    await agent.saw('operation-finished', isCommitted);
    expect((await fetch(new URL('notify', url), { method: 'POST' })).status).toBe(202);
    await agent.saw('operation-finished', (line) => isBackup(line) && line['outcome'] === 'unchanged');
    const status = (await (await fetch(new URL('status.json', url))).json()) as Record<string, unknown>;
    expect(status).toMatchObject({ pid: agent.child.pid, dirtySinceMs: null });
    expect((await fetch(new URL('readyz', url))).status).toBe(200);
    expect(await (await fetch(new URL('metrics', url))).text()).toMatch(/sync_agent_.*operation="backup"/);
    expect(await agent.stop()).toMatchObject({ exitCode: 0 });
  });

  it.each([
    [['--cron', 'now and then'], /cron/],
    [['--interval', 'hourly'], /--interval/],
    [['--http', '0.0.0.0:0'], /token/i],
  ])('refuses %j before it claims anything', async (flags, why) => {
    const { exitCode, stderr } = await run('watch', ...flags);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(why);
  });
});
