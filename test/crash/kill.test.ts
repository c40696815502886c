import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openAnyS3 } from '../support/any-s3.ts';
import type { AnyS3 } from '../support/any-s3.ts';
import { buildCli, startBuiltCli } from '../support/built-cli.ts';
import { fastTmp } from '../support/host.ts';
import { randomFrom } from '../support/records.ts';

const kills = Number(process.env['SYNC_AGENT_TEST_KILLS'] ?? 6);
const seed = Number(process.env['SYNC_AGENT_TEST_SEED'] ?? Date.now() % 1_000_000);
const writers = 8;
const commitsPerWriter = Number(process.env['SYNC_AGENT_TEST_COMMITS'] ?? 2);

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

/** Runs a command to its end. */
async function run(remote: string, store: string, ...args: string[]) {
  const result = await startBuiltCli([...args, '--json', '--store', store, '--remote', remote], s3.env).done;
  return { ...result, json: JSON.parse(result.stdout || '{}') as Record<string, unknown> };
}

/** The number that the last committed transaction wrote, once into the database and once into every row. */
function readStore(store: string): number {
  const database = new Database(join(store, 'app.db'), { readonly: true });
  try {
    expect(database.pragma('integrity_check', { simple: true })).toBe('ok');
    const [low, high] = [
      database.prepare('select min(n) from t').pluck().get(),
      database.prepare('select max(n) from t').pluck().get(),
    ];
    expect(low).toBe(high);
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

describe('a process killed at any moment', () => {
  it(
    `leaves a whole store and a whole remote, ${kills} times`,
    async () => {
      console.log(`${kills} kills, seed ${seed}, ${s3.name} S3`);
      const random = randomFrom(seed);
      const remote = `s3://${s3.bucket}/kill`;
      const store = join(root, 'store');
      await mkdir(store);
      let written = 1;
      writeStore(store, written);
      expect((await run(remote, store, 'backup')).exitCode).toBe(0);
      /** What the newest snapshot holds. */
      let backedUp = written;
      let hits = 0;
      for (let kill = 1; kill <= kills; kill += 1) {
        const command =
          (['backup', 'restore', 'backup', 'prune'] as const)[Math.floor(random() * 4)] ?? 'backup';
        if (command === 'restore') await rm(store, { recursive: true });
        else writeStore(store, (written += 1));
        const started = startBuiltCli(
          [command, '--store', store, '--remote', remote, '--keep', '3', '--grace', '30s'],
          s3.env,
        );
        await sleep(50 + random() * 850);
        started.child.kill('SIGKILL');
        const { exitCode } = await started.done;
        if (exitCode === null) hits += 1;

        // The ordinary next command: the start-up hook of a machine that came up again, or the next backup.
        const next = await run(remote, store, command === 'restore' ? 'restore' : 'backup');
        const context = `kill ${kill} of ${command}, seed ${seed}: ${next.stdout}${next.stderr}`;
        expect(next.exitCode, context).toBe(0);
        const n = readStore(store);
        expect(n, context).toBe(command === 'restore' ? backedUp : written);
        backedUp = n;
        if (kill % 10 === 0) {
          const verified = await run(remote, store, 'verify', '--all', '--read-data');
          expect(verified.exitCode, verified.stdout).toBe(0);
        }
      }
      const verified = await run(remote, store, 'verify', '--all', '--read-data');
      expect(verified.exitCode, verified.stdout).toBe(0);
      console.log(`${hits} of ${kills} kills hit a running command`);
      expect(hits).toBeGreaterThan(kills / 4);
    },
    60_000 + kills * 10_000,
  );
});

describe('processes that back up to one remote at once', () => {
  it(
    `make exactly ${writers * commitsPerWriter} commits, each readable`,
    async () => {
      const remote = `s3://${s3.bucket}/race`;
      const commitMany = async (writer: number): Promise<void> => {
        const store = join(root, `writer-${writer}`);
        await mkdir(store);
        for (let n = 1; n <= commitsPerWriter; n += 1) {
          await writeFile(join(store, 'data'), `writer ${writer}, commit ${n}, ${'x'.repeat(1000)}`);
          const { exitCode, stdout, stderr } = await run(remote, store, 'backup', '--keep', '100000');
          // The others' snapshots are not our parents: each commit after the first reports the divergence.
          expect([0, 4], stdout + stderr).toContain(exitCode);
        }
      };
      await Promise.all(Array.from({ length: writers }, (_, writer) => commitMany(writer)));
      const listed = await run(remote, join(root, 'nobody'), 'list');
      const snapshots = listed.json['snapshots'] as { generation: number }[];
      expect(snapshots.map((each) => each.generation)).toEqual(
        Array.from({ length: writers * commitsPerWriter }, (_, index) => index + 1),
      );
      const verified = await run(remote, join(root, 'nobody'), 'verify', '--all', '--read-data');
      expect(verified.exitCode, verified.stdout).toBe(0);
    },
    120_000 + writers * commitsPerWriter * 2_000,
  );
});
