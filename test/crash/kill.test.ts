import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Agent } from '../../src/api/agent.ts';
import { openAnyS3 } from '../support/any-s3.ts';
import type { AnyS3 } from '../support/any-s3.ts';
import { buildCli, startBuiltCli } from '../support/built-cli.ts';
import { fastTmp } from '../support/host.ts';
import { randomFrom } from '../support/records.ts';

const kills = Number(process.env['SYNC_AGENT_TEST_KILLS'] ?? 6);
const seed = Number(process.env['SYNC_AGENT_TEST_SEED'] ?? Date.now() % 1_000_000);
/** Stores that suffer at the same time; a process waits for the server most of its life. */
const lanes = Math.min(4, kills);
const kinds = ['backup', 'backup', 'restore', 'restore over a newer store', 'prune'] as const;
type Kind = (typeof kinds)[number];

let s3: AnyS3;
let root: string;

beforeAll(async () => {
  s3 = await openAnyS3();
  root = await mkdtemp(join(fastTmp, 'sync-agent-kill-'));
  buildCli();
}, 60_000);

afterAll(async () => {
  await s3?.close();
  await rm(root, { recursive: true, force: true });
});

describe('a process killed at any moment', () => {
  it(
    `leaves a whole store and a whole remote, ${kills} times`,
    async () => {
      console.log(`${kills} kills, seed ${seed}, ${s3.name} S3`);
      const share = (lane: number): number => Math.floor((kills + lane) / lanes);
      const missed = await Promise.all(
        Array.from({ length: lanes }, (_, lane) => killMany(lane, share(lane))),
      );
      console.log(`${kills} kills hit a running command, ${missed.reduce((a, b) => a + b, 0)} came too late`);
    },
    60_000 + kills * 10_000,
  );
});

/** Kills so many running commands on one store. Resolves to how often the command had ended by itself. */
async function killMany(lane: number, times: number): Promise<number> {
  const random = randomFrom(seed * 10 + lane);
  const remote = `s3://${s3.bucket}/kill-${lane}`;
  const store = join(root, `store-${lane}`);
  const agent = openAgent(store, remote);
  /** How long a command of each kind takes when nobody kills it. */
  const durations = new Map<Kind, number>();
  await mkdir(store);
  let written = 1;
  writeStore(store, written);
  await agent.backup();
  /** What the newest snapshot holds. */
  let backedUp = written;
  let missed = 0;
  const prepare = async (kind: Kind): Promise<readonly string[]> => {
    if (kind === 'restore') await rm(store, { recursive: true, force: true });
    else writeStore(store, (written += 1));
    return kind === 'restore over a newer store' ? ['restore', '--force'] : [kind];
  };
  for (const kind of new Set(kinds)) {
    const args = await prepare(kind);
    const started = performance.now();
    const { exitCode, stderr } = await start(args, store, remote).done;
    expect(exitCode, stderr).toBe(0);
    durations.set(kind, performance.now() - started);
    if (kind === 'backup') backedUp = written;
  }
  for (let kill = 1; kill <= times;) {
    const kind = kinds[Math.floor(random() * kinds.length)] ?? 'backup';
    const args = await prepare(kind);
    const started = performance.now();
    const { child, done } = start(args, store, remote);
    // In its first fifth it only loads its code.
    await sleep((0.2 + 0.8 * random()) * (durations.get(kind) ?? 0));
    child.kill('SIGKILL');
    const { exitCode, stderr } = await done;
    const isHit = exitCode === null;
    if (!isHit) {
      expect(exitCode, stderr).toBe(0);
      durations.set(kind, performance.now() - started);
      missed += 1;
      expect(missed, 'the kills come too late').toBeLessThan(20 + times);
    }

    const context = `lane ${lane}, kill ${kill} of ${kind}, seed ${seed}`;
    // The ordinary next command: the start-up hook of a machine that came up again, or the next backup.
    const isRestore = kind.startsWith('restore');
    await recover(
      isRestore ? args : ['backup'],
      { agent, store, remote, asProcess: random() < 0.25 },
      context,
    );
    const n = readStore(store, context);
    expect(n, context).toBe(isRestore ? backedUp : written);
    backedUp = n;
    if (kill % 10 === 0) await expectSound(agent, context);
    if (isHit) kill += 1;
  }
  await expectSound(agent, `lane ${lane}, seed ${seed}`);
  await agent.close();
  return missed;
}

interface Victim {
  readonly agent: Agent;
  readonly store: string;
  readonly remote: string;
  /** As a process of its own, or by the library in this one, which spares its start. */
  readonly asProcess: boolean;
}

async function recover(args: readonly string[], victim: Victim, context: string): Promise<void> {
  const { agent, store, remote, asProcess } = victim;
  if (asProcess) {
    const { exitCode, stdout, stderr } = await start(args, store, remote).done;
    expect(exitCode, `${context}: ${stdout}${stderr}`).toBe(0);
    return;
  }
  try {
    const result = await (args[0] === 'backup'
      ? agent.backup()
      : agent.restore({ force: args.includes('--force') }));
    expect(['committed', 'unchanged', 'restored', 'equal'], context).toContain(result.type);
  } catch (cause) {
    throw new Error(context, { cause });
  }
}

async function expectSound(agent: Agent, context: string): Promise<void> {
  const report = await agent.verify({ all: true, readData: true });
  expect(report, context).toMatchObject({ isSound: true, damagedCommits: [] });
  const generations = (await agent.list()).map((each) => each.generation);
  expect(new Set(generations).size, context).toBe(generations.length);
}

/** The built command line, with little to keep so that rotation has work. */
function start(args: readonly string[], store: string, remote: string) {
  const policy = args[0] === 'restore' ? [] : ['--keep', '3', '--grace', '30s'];
  return startBuiltCli([...args, ...policy, '--json', '--store', store, '--remote', remote], s3.env);
}

function openAgent(store: string, remote: string): Agent {
  const { env } = s3;
  return createAgent({
    store,
    remote,
    keepLast: 3,
    graceMs: 30_000,
    s3: {
      endpoint: env['AWS_ENDPOINT_URL_S3'],
      region: env['AWS_REGION'],
      credentials: {
        accessKeyId: env['AWS_ACCESS_KEY_ID'] ?? '',
        secretAccessKey: env['AWS_SECRET_ACCESS_KEY'] ?? '',
      },
    },
  });
}

/** The number that the last committed transaction wrote into every row. */
function readStore(store: string, context: string): number {
  const database = new Database(join(store, 'app.db'), { readonly: true });
  try {
    expect(database.pragma('integrity_check', { simple: true }), context).toBe('ok');
    const [low, high] = [
      database.prepare('select min(n) from t').pluck().get(),
      database.prepare('select max(n) from t').pluck().get(),
    ];
    expect(low, context).toBe(high);
    return Number(low);
  } finally {
    database.close();
  }
}

function writeStore(store: string, n: number): void {
  const database = new Database(join(store, 'app.db'));
  database.exec('create table if not exists t(id integer primary key, n, pad)');
  database.transaction(() => {
    for (let id = 0; id < 500; id += 1) {
      database
        .prepare('insert into t values (?, ?, ?) on conflict(id) do update set n = excluded.n')
        .run(id, n, 'x'.repeat(400));
    }
  })();
  database.close();
}
