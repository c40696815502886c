import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openAnyS3 } from '../support/any-s3.ts';
import type { AnyS3 } from '../support/any-s3.ts';
import { startBuiltCli } from '../support/built-cli.ts';
import { startAgent } from '../support/running-agent.ts';
import type { LogLine, RunningAgent } from '../support/running-agent.ts';

/** Counts on in a file of its store; when it is told to stop, it writes one thing more. */
const application = `
  const { mkdirSync, readFileSync, writeFileSync } = require('node:fs');
  const [store] = process.argv.slice(1);
  mkdirSync(store, { recursive: true });
  let count = 0;
  try { count = Number(readFileSync(store + '/count', 'utf8')); } catch {}
  console.log('began at ' + count);
  const write = () => writeFileSync(store + '/count', String((count += 1)));
  const timer = setInterval(write, 50);
  process.on('SIGTERM', () => {
    clearInterval(timer);
    write();
    console.log('ended at ' + count);
  });
`;

let root: string;
let s3: AnyS3;
const agents: RunningAgent[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-hand-over-'));
  s3 = await openAnyS3();
});
afterEach(async () => {
  for (const { child } of agents.splice(0)) child.kill('SIGKILL');
  await s3.close();
  await rm(root, { recursive: true, force: true });
});

function settingsOf(host: string): Readonly<Record<string, string>> {
  return {
    ...s3.env,
    SYNC_AGENT_STORE: join(root, host),
    SYNC_AGENT_REMOTE: `s3://${s3.bucket}/app`,
    SYNC_AGENT_HOST: host,
    SYNC_AGENT_INTERVAL: '1h',
    SYNC_AGENT_SETTLE: '100ms',
    SYNC_AGENT_LEASE: '12s',
    SYNC_AGENT_HTTP: '127.0.0.1:0',
  };
}

function run(host: string): RunningAgent {
  const command = ['--', process.execPath, '-e', application, join(root, host)];
  const agent = startAgent(['run', '--wait-for-lease', '60s', ...command], settingsOf(host));
  agents.push(agent);
  return agent;
}

const isLease =
  (state: string) =>
  (line: LogLine): boolean =>
    line['state'] === state;

describe('a rolling deployment with a lease', () => {
  it('hands all that was written over: the new host waits for the last backup of the old one', async () => {
    const old = run('old');
    await old.saw('lease', isLease('acquired'));
    await old.saw('operation-finished', (line) => line['outcome'] === 'committed');
    const fresh = run('fresh');
    await fresh.saw('lease', isLease('waiting'));
    const ended = await old.stop();
    expect(ended.exitCode).toBe(0);
    const last = /ended at (\d+)/.exec(ended.stdout)?.[1];
    expect(last).toBeDefined();
    // It runs, and listens to signals.
    await fresh.saw('changed');
    const { stdout, exitCode } = await fresh.stop();
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`began at ${last}\n`);
    expect(fresh.log.some((line) => line.type === 'diverged')).toBe(false);
    expect(await readFile(join(root, 'fresh/count'), 'utf8')).toBe(/ended at (\d+)/.exec(stdout)?.[1]);
  });

  it('keeps what a host writes that was passed over, and never restores it by itself', async () => {
    const old = run('old');
    await old.saw('operation-finished', (line) => line['outcome'] === 'committed');
    // It hangs, and its lease runs out.
    old.child.kill('SIGSTOP');
    const fresh = run('fresh');
    await fresh.saw('command-started');
    await fresh.saw('changed');
    expect((await fresh.stop()).exitCode).toBe(0);
    old.child.kill('SIGCONT');
    await old.saw('lease', isLease('lost'));
    // Nor does a backup by hand beside it hide the other host's snapshots.
    const byHand = await startBuiltCli(['backup', '--force'], settingsOf('old')).done;
    expect(byHand.exitCode, byHand.stderr).toBe(4);
    await old.stop();
    const status = startBuiltCli(['status', '--json'], settingsOf('fresh')).done;
    const { tips, newest } = JSON.parse((await status).stdout) as {
      tips: string[];
      newest: { host: string };
    };
    expect(tips.length).toBe(2);
    expect(newest.host).toBe('fresh');
    const third = await startBuiltCli(['restore'], settingsOf('third')).done;
    expect(third.exitCode, third.stderr).toBe(0);
    expect(await readFile(join(root, 'third/count'), 'utf8')).toBe(
      await readFile(join(root, 'fresh/count'), 'utf8'),
    );
  });
});
