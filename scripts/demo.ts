/**
 * `npm run demo`: a real Chroma store is backed up to a directory, lost, restored, proven equal, changed, backed up
 * again and compared. Works on a temporary directory, needs no account, no network and no root; exits with 1 if
 * anything it claims turns out false.
 *
 * Where the real server of npm's `chromadb` runs (scripts/chroma-server.sh check), the backups are taken while it
 * is running; elsewhere a data directory that was made by that server stands in for it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { startChromaServer } from '../test/support/chroma-server.ts';
import type { ChromaServer } from '../test/support/chroma-server.ts';
import { unpackFixture } from '../test/support/fixtures.ts';

const cli = fileURLToPath(new URL('../dist/bin.js', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'sync-agent-demo-'));
const store = join(work, 'chroma');
const remote = pathToFileURL(join(work, 'remote')).href;
const started = performance.now();

/** The application whose data must survive. */
interface Application {
  readonly description: string;
  write(): Promise<void>;
  /** Ends at once, as by a power cut. */
  die(): Promise<void>;
  /** Starts on what is there and resolves to the number of records it finds by asking. */
  resume(): Promise<number | undefined>;
  change(): Promise<void>;
}

try {
  await tellStory((await chromaApplication()) ?? fixtureApplication());
  say(`\nEverything above was checked. ${((performance.now() - started) / 1000).toFixed(1)} s`);
} catch (error) {
  say(`\nDEMO FAILED: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function tellStory(application: Application): Promise<void> {
  heading(`1. A store: ${application.description}`);
  await application.write();
  listFiles();

  heading('2. Back it up');
  run('backup');
  run('list');

  heading('3. Lose it');
  const first = manifest('latest');
  const { records } = first.statistics;
  const bytes = first.files.reduce((sum, file) => sum + file.size, 0);
  await application.die();
  const before = hashes();
  rmSync(store, { recursive: true });
  say(`$ rm -rf ${store}`);

  heading('4. Restore it');
  run('restore');

  heading('5. Proof');
  const after = hashes();
  check(before.size > 0 && before.size === after.size, `${after.size} files again, ${bytes} bytes`);
  check(
    [...before].every(([path, hash]) => after.get(path) === hash),
    'each has the SHA-256 it had before the loss',
  );
  const promised = new Map(first.files.map((file) => [file.path, file.sha256]));
  check(
    [...after].every(([path, hash]) => promised.get(path) === hash),
    'and the one that the snapshot names',
  );
  const found = await application.resume();
  if (found !== undefined)
    check(found === records, `the server finds ${found} records, ${records} were backed up`);
  else check(records > 0, `the snapshot counts ${records} records`);
  run('verify', '--read-data');

  heading('6. Go on working, back up again, compare');
  await application.change();
  run('backup');
  run('diff', '~1', 'latest');
  check(manifest(first.id).statistics.records === records, `the first snapshot still has ${records} records`);
  check(manifest('latest').parent === first.id, 'and the second one names it as its parent');
  await application.die();
}

/** Undefined where the real server cannot run. */
async function chromaApplication(): Promise<Application | undefined> {
  const script = fileURLToPath(new URL('chroma-server.sh', import.meta.url));
  const reason = spawnSync(script, ['check'], { encoding: 'utf8' });
  if (reason.status !== 0) {
    say(`Without a running server: ${reason.stderr.trim()}`);
    return undefined;
  }
  const vector = (seed: number): number[] =>
    Array.from({ length: 32 }, (_, index) => Math.sin(seed * 31 + index * 7));
  let server: ChromaServer | undefined;
  const add = async (collection: string, from: number, to: number): Promise<void> => {
    if (server === undefined) throw new Error('the server is not running');
    const target = await server.client.getOrCreateCollection({ name: collection, embeddingFunction: null });
    const numbers = Array.from({ length: to - from }, (_, index) => from + index);
    await target.add({
      ids: numbers.map((number) => `${collection}-${number}`),
      documents: numbers.map((number) => `Document ${number} of ${collection}`),
      embeddings: numbers.map(vector),
    });
  };
  const die = async (): Promise<void> => server?.stop('SIGKILL');
  process.once('exit', () => void server?.stop('SIGKILL'));
  return {
    description: 'a Chroma server with two collections, which keeps running',
    write: async () => {
      server = await startChromaServer({ path: store });
      // More than the server keeps in its queue, so that there are vector indexes on disk.
      await add('articles', 0, 1200);
      await add('notes', 0, 1100);
    },
    die,
    resume: async () => {
      server = await startChromaServer({ path: store });
      let count = 0;
      for (const name of ['articles', 'notes']) {
        const collection = await server.client.getCollection({ name });
        const { ids, embeddings } = await collection.get({ include: ['embeddings'] });
        const nearest = await collection.query({ queryEmbeddings: [vector(42)], nResults: 1 });
        check(nearest.ids[0]?.[0] === `${name}-42`, `in "${name}" a search by vector finds ${name}-42`);
        check(embeddings.length === ids.length, `and all ${ids.length} vectors are there`);
        count += ids.length;
      }
      return count;
    },
    change: async () => {
      await add('notes', 1100, 1125);
    },
  };
}

function fixtureApplication(): Application {
  return {
    description: 'a data directory that a Chroma server made',
    write: async () => void unpackFixture('chroma-1-a', store),
    die: async () => {},
    resume: async () => undefined,
    // In place, as the server writes: new files would be a new store.
    change: async () => {
      const later = unpackFixture('chroma-1-b', join(work, 'later'));
      for (const path of files()) {
        writeFileSync(join(store, path), readFileSync(join(later, path)));
        const { atime, mtime } = statSync(join(later, path));
        utimesSync(join(store, path), atime, mtime);
      }
    },
  };
}

interface Manifest {
  readonly id: string;
  readonly parent: string | null;
  readonly files: readonly { readonly path: string; readonly sha256: string; readonly size: number }[];
  readonly statistics: { readonly records: number };
}

function manifest(name: string): Manifest {
  return JSON.parse(call(['show', name, '--json'], 'pipe')) as Manifest;
}

function run(...args: readonly string[]): void {
  say(`$ sync-agent ${args.join(' ')}`);
  call(args, 'inherit');
}

function call(args: readonly string[], stdout: 'pipe' | 'inherit'): string {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('SYNC_AGENT_'));
  return (
    execFileSync(process.execPath, [cli, ...args], {
      cwd: work,
      env: { ...Object.fromEntries(inherited), SYNC_AGENT_STORE: store, SYNC_AGENT_REMOTE: remote },
      stdio: ['ignore', stdout, 'inherit'],
      encoding: 'utf8',
    }) ?? ''
  );
}

function files(): readonly string[] {
  return readdirSync(store, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(store, path)).isFile())
    .toSorted();
}

function hashes(): ReadonlyMap<string, string> {
  return new Map(
    files().map((path) => [
      path,
      createHash('sha256')
        .update(readFileSync(join(store, path)))
        .digest('hex'),
    ]),
  );
}

function listFiles(): void {
  for (const path of files()) say(`  ${String(statSync(join(store, path)).size).padStart(9)}  ${path}`);
}

function check(isTrue: boolean, claim: string): void {
  if (!isTrue) throw new Error(`it is not true that ${claim}`);
  say(`  ok  ${claim}`);
}

function heading(text: string): void {
  say(`\n${text}\n`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
