import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Agent } from '../../src/api/agent.ts';
import type { AgentSettings } from '../../src/in-process/agent-settings.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import { openRemote } from '../../src/remotes/open-remote.ts';
import { segmentKey } from '../../src/log/layout.ts';
import { unpackFixture } from '../support/fixtures.ts';
import type { Fixture } from '../support/fixtures.ts';
import { followStore } from '../support/followed-store.ts';
import { startS3Server } from '../support/s3-server.ts';
import { realS3 } from '../support/s3.ts';
import { missingTools } from '../support/tools.ts';

/**
 * docs/format.md promises that a snapshot can be restored without this program. Its code blocks are run here as they
 * are printed there.
 */
const document = readFileSync(new URL('../../docs/format.md', import.meta.url), 'utf8');
const noDirectory = missingTools(['bash', 'jq', 'sha256sum'], 'the directory recipe of docs/format.md');
const noS3 = missingTools(['bash', 'jq', 'sha256sum', 'aws'], 'the S3 recipe of docs/format.md');

interface Place {
  readonly settings: Pick<AgentSettings, 'remote' | 's3'>;
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-recipe-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe.skipIf(noDirectory !== undefined)('the recipe for a directory remote', () => {
  const makePlace = async (): Promise<Place> => {
    const remote = await mkdtemp(join(root, 'remote-'));
    return {
      settings: { remote: pathToFileURL(remote).href },
      env: { remote },
      close: async () => {},
    };
  };
  describeRecipe('directory', makePlace);

  it('passes over a damaged newest commit', async () => {
    const place = await makePlace();
    const { agent, store } = await newAgent(place);
    const first = await backUp(agent);
    const before = contentOf(store);
    await writeFile(join(store, 'more.txt'), 'more');
    await backUp(agent);
    await writeFile(join(place.env['remote'] ?? '', 'commits/0000000002.json'), '{"format":1}\n');
    expect((await run('directory', { ...place.env, target: newTarget() })).output).not.toContain('before');
    await rm(join(place.env['remote'] ?? '', 'history/.commits/0000000002.json'));
    const target = newTarget();
    const { code, output } = await run('directory', { ...place.env, target });
    expect(output).toContain('commits/0000000002.json is missing or damaged');
    expect(output).toContain(first);
    expect(code).toBe(0);
    expect(contentOf(target)).toEqual(before);
  });

  it('takes the newest snapshot by epoch, not that of the newest commit', async () => {
    const place = await makePlace();
    const { agent, store } = await newAgent(place);
    await agent.backup({ epoch: 2 });
    const before = contentOf(store);
    await writeFile(join(store, 'more.txt'), 'of a host that lost its lease');
    expect(await agent.backup({ epoch: 1 })).toMatchObject({ generation: 2, isFenced: true });
    const target = newTarget();
    const { code } = await run('directory', { ...place.env, target });
    expect(code).toBe(0);
    expect(contentOf(target)).toEqual(before);
  });

  it('refuses a damaged file, naming it', async () => {
    const place = await makePlace();
    const { agent } = await newAgent(place);
    const id = await backUp(agent);
    const key = `history/${id}/sub folder/ünï+&%.txt`;
    await rm(join(place.env['remote'] ?? '', key));
    await writeFile(join(place.env['remote'] ?? '', key), 'bad');
    const { code, output } = await run('directory', { ...place.env, target: newTarget() });
    expect(output).toContain(`${key} is damaged`);
    expect(code).toBe(1);
  });

  it('refuses a manifest that leads out of the target', async () => {
    const place = await makePlace();
    const { agent } = await newAgent(place);
    await backUp(agent);
    const key = join(place.env['remote'] ?? '', 'commits/0000000001.json');
    const { checksum: _, ...manifest } = JSON.parse(await readFile(key, 'utf8')) as {
      checksum: string;
      files: { path: string }[];
    };
    for (const file of manifest.files) file.path = `../${file.path}`;
    const checksum = createHash('sha256')
      .update(`${JSON.stringify(manifest, null, 1)}\n`)
      .digest('hex');
    await rm(key);
    await writeFile(key, `${JSON.stringify({ ...manifest, checksum }, null, 1)}\n`);
    const { code, output } = await run('directory', { ...place.env, target: newTarget() });
    expect(output).toContain('refusing the path ../');
    expect(code).toBe(1);
  });
});

describe.skipIf(noS3 !== undefined)('the recipe for S3', () => {
  const real = realS3();
  describeRecipe('s3', async () => {
    const server = real === undefined ? await startS3Server() : undefined;
    server?.createBucket('recipe');
    const bucket = (await real?.makeBucket()) ?? 'recipe';
    const { endpoint, region, accessKeyId, secretAccessKey } = (real ?? server)!;
    const prefix = 'some prefix/ä';
    return {
      settings: {
        remote: `s3://${bucket}/${prefix}`,
        s3: { endpoint, region, credentials: { accessKeyId, secretAccessKey } },
      },
      env: {
        bucket,
        prefix,
        AWS_ENDPOINT_URL_S3: endpoint,
        AWS_REGION: region,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
      },
      close: async () => server?.close(),
    };
  });
});

const noLog = missingTools(
  ['bash', 'jq', 'sha256sum', 'gzip', 'sqlite3'],
  'the recipe of docs/format.md for a log',
);

describe.skipIf(noLog !== undefined)('the recipe for what was written after a snapshot', () => {
  const strange = 'it\u0027s "two"\nlines, ünï \u0000 \\ and %s';

  it.each(['chroma-1-b', 'chroma-0.4.24'] as const)(
    'applies the log of %s as a restore does',
    async (fixture) => {
      const { remote, stop, id, store } = await loggedRemote(fixture);
      const target = newTarget();
      const { code, output } = await run('directory', { remote, target });
      expect(output).toMatch(/and what was written until 20\S+, operation \d+/);
      expect(code).toBe(0);
      const restored = newTarget();
      const agent = createAgent({ store, remote: pathToFileURL(remote).href });
      expect(await agent.restoreTo(restored)).toMatchObject({
        id,
        log: { operations: 3, endedBy: undefined },
      });
      const tables = tablesOf(target);
      expect(tables).toEqual(tablesOf(restored));
      expect((tables['embeddings_queue'] as readonly string[][]).map((row) => row[4])).toContain(strange);
      expect(JSON.stringify(tables['collections'])).toContain('renamed');

      const plain = newTarget();
      expect((await run('directory', { remote, target: plain, log: 'no' })).code).toBe(0);
      expect(JSON.stringify(tablesOf(plain))).not.toContain('renamed');
      await stop();
    },
  );

  it('stops before a segment that is damaged, and says so', async () => {
    const { remote, stop, id, segments } = await loggedRemote('chroma-1-b');
    const key = join(remote, segmentKey(id, segments - 1));
    await rm(key);
    await writeFile(key, 'rotten');
    const target = newTarget();
    const { code, output } = await run('directory', { remote, target });
    expect(output).toContain(
      `segment ${segments - 1} is missing or damaged: what was written later is not restored`,
    );
    expect(code).toBe(0);
    const restored = newTarget();
    await createAgent({ store: target, remote: pathToFileURL(remote).href }).restoreTo(restored);
    expect(tablesOf(target)).toEqual(tablesOf(restored));
    await stop();
  });

  /** A directory remote whose snapshot has three writes behind it, and a renamed collection. */
  async function loggedRemote(fixture: Fixture) {
    const remote = await mkdtemp(join(root, 'remote-'));
    const url = pathToFileURL(remote).href;
    const opened = await openRemote(url, { clock: systemClock, fs: nodeFileSystem, emit: () => undefined });
    const followed = await followStore({ remote: opened.remote, settings: { remote: url } }, fixture);
    const id = await followed.snapshot();
    for (const name of ['one', strange]) {
      followed.write(name);
      await followed.flush();
    }
    const db = new Database(join(followed.host.store, 'chroma.sqlite3'));
    db.exec("UPDATE collections SET name = name || ' renamed'");
    db.close();
    followed.write('three');
    await followed.stop();
    const segments = readdirSync(join(remote, 'history', id, '.sync-agent/log')).length;
    return { remote, stop: followed.remove, id, segments, store: followed.host.store };
  }
});

/** The rows of every ordinary table of a Chroma directory, with the type of each value. */
function tablesOf(dir: string): Record<string, readonly unknown[]> {
  const db = new Database(join(dir, 'chroma.sqlite3'), { readonly: true });
  const names = db
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%fulltext%'")
    .pluck()
    .all() as string[];
  const tables = names.map((name) => [name, db.prepare(`SELECT * FROM "${name}" ORDER BY 1`).raw().all()]);
  db.close();
  return Object.fromEntries(tables) as Record<string, readonly unknown[]>;
}

function describeRecipe(name: 'directory' | 's3', makePlace: () => Promise<Place>): void {
  it('restores every snapshot: names, bytes, permissions and seconds', async () => {
    const place = await makePlace();
    try {
      const { agent, store } = await newAgent(place);
      const expected = new Map([[await backUp(agent), contentOf(store)]]);
      await writeFile(join(store, 'sub folder/changed.txt'), 'changed');
      await rm(join(store, 'sub folder/hollow'), { recursive: true });
      expected.set(await backUp(agent), contentOf(store));
      for (const [snapshot, content] of expected) {
        const target = newTarget();
        const { code, output } = await run(name, { ...place.env, target, snapshot });
        expect(output).toContain(`${snapshot} is in ${target}`);
        expect(code).toBe(0);
        expect(contentOf(target)).toEqual(content);
      }
      const latest = newTarget();
      await run(name, { ...place.env, target: latest });
      expect(contentOf(latest)).toEqual(contentOf(store));
    } finally {
      await place.close();
    }
  });

  it('follows linked history, and a snapshot that was committed again by prune', async () => {
    const place = await makePlace();
    try {
      const { agent, store } = await newAgent(place, { history: 'linked' });
      const first = await backUp(agent);
      await writeFile(join(store, 'more.txt'), 'more');
      const second = await backUp(agent);
      await agent.clearHistory();
      const target = newTarget();
      const { code, output } = await run(name, { ...place.env, target });
      expect(output).toContain(`${second} is in ${target}`);
      expect(code).toBe(0);
      expect(contentOf(target)).toEqual(contentOf(store));
      const gone = await run(name, { ...place.env, target: newTarget(), snapshot: first });
      expect(gone.output).toContain(`there is no snapshot ${first}`);
      expect(gone.code).toBe(1);
    } finally {
      await place.close();
    }
  });

  it('restores a Chroma store', async () => {
    const place = await makePlace();
    try {
      const { agent, store } = await newAgent(place, {}, unpackFixture('chroma-1-b'));
      await backUp(agent);
      const target = newTarget();
      const { code } = await run(name, { ...place.env, target });
      expect(code).toBe(0);
      expect(contentOf(target)).toEqual(contentOf(store));
    } finally {
      await place.close();
    }
  });
}

async function newAgent(
  place: Place,
  settings: Partial<AgentSettings> = {},
  existing?: string,
): Promise<{ readonly agent: Agent; readonly store: string }> {
  const store = existing ?? (await makeStore());
  return { agent: createAgent({ store, ...place.settings, ...settings }), store };
}

/** Names that shells, URLs and listings trip over. */
async function makeStore(): Promise<string> {
  const store = await mkdtemp(join(root, 'store-'));
  const names = [
    'plain.txt',
    'sub folder/ünï+&%.txt',
    'sub folder/$(touch pwned) \'q\' "d".txt',
    'a/b/c/-rf',
    'two\nlines',
  ];
  for (const name of names) {
    await mkdir(dirname(join(store, name)), { recursive: true });
    await writeFile(join(store, name), `content of ${name}`);
  }
  await writeFile(join(store, 'nothing'), '');
  await chmod(join(store, 'plain.txt'), 0o640);
  await mkdir(join(store, 'sub folder/hollow'));
  await chmod(join(store, 'a/b'), 0o711);
  return store;
}

async function backUp(agent: Agent): Promise<string> {
  const result = await agent.backup();
  if (result.type !== 'committed') throw new Error(`expected a commit, found ${result.type}`);
  return result.id;
}

let targets = 0;
const newTarget = (): string => join(root, `target-${(targets += 1)}`);

function contentOf(dir: string): Record<string, string> {
  return Object.fromEntries(
    ['.', ...readdirSync(dir, { recursive: true, encoding: 'utf8' })].toSorted().map((path) => {
      const stats = statSync(join(dir, path));
      if (!stats.isFile()) return [path, `directory ${stats.mode}`];
      const sha256 = createHash('sha256')
        .update(readFileSync(join(dir, path)))
        .digest('hex');
      return [path, `${stats.mode} ${Math.floor(stats.mtimeMs / 1000)} ${sha256}`];
    }),
  );
}

/** The recipe as a reader would put it together. The S3 server may live in this process, so nothing blocks. */
async function run(
  kind: 'directory' | 's3',
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const cwd = await mkdtemp(join(root, 'cwd-'));
  const script = join(cwd, 'restore-by-hand.sh');
  await writeFile(script, `${codeBlock(kind)}\n${codeBlock('body')}`);
  const child = spawn('bash', [script], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const take = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  expect(await readdir(cwd), output).toEqual(['restore-by-hand.sh']);
  return { code, output };
}

function codeBlock(name: string): string {
  const block = new RegExp(`<!-- recipe: ${name} -->\\s*\`\`\`bash\\n(?<code>.*?)\`\`\``, 's').exec(document);
  const code = block?.groups?.['code'];
  if (code === undefined) throw new Error(`docs/format.md has no code block "${name}"`);
  return code;
}
