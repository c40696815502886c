import { createHash } from 'node:crypto';
import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { StoredObject } from '../../../src/remotes/memory/memory-remote.ts';
import { fingerprint, placementFingerprint, storeIdentity } from '../../../src/stores/content/fingerprint.ts';
import { scanStore } from '../../../src/stores/content/scan.ts';
import { fastTmp } from '../host.ts';
import { Power } from '../power.ts';

/** What a power cut leaves behind. */
export interface CutImage {
  /** As in an error: `before effect 3: put …`. */
  readonly name: string;
  /** A disk of its own. */
  readonly root: string;
  readonly objects: ReadonlyMap<string, StoredObject>;
}

type Objects = Map<string, StoredObject>;

/**
 * Cuts no power, but keeps for each effect what a cut would leave behind: before it and, if it can happen by half, in its middle. So one run
 * shows every cut. An image that says nothing new is not kept.
 */
export class Camera extends Power {
  readonly #root: string;
  readonly #objects: Objects;
  readonly #seen = new Set<string>();
  readonly #onImage: (image: CutImage) => void;

  constructor(root: string, objects: Objects, onImage: (image: CutImage) => void) {
    super();
    this.#root = root;
    this.#objects = objects;
    this.#onImage = onImage;
  }

  override async effect<T>(name: string, work: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> {
    this.effects.push(name);
    const cut = `effect ${this.effects.length}: ${name.replaceAll(this.#root, '')}`;
    await this.#take(`before ${cut}`);
    if (half !== undefined) {
      await half();
      await this.#take(`half ${cut}`);
    }
    return work();
  }

  /** As after a cut that comes later than all effects. */
  async takeLast(): Promise<CutImage> {
    return { name: 'after all', root: await copyDisk(this.#root), objects: new Map(this.#objects) };
  }

  async #take(name: string): Promise<void> {
    const root = copyOfDisk(this.#root);
    for (const [path, durable] of this.unsynced) truncate(root + path.slice(this.#root.length), durable);
    const objects = new Map(this.#objects);
    const digest = digestOf(root, objects);
    if (this.#seen.has(digest)) return rmSync(root, { recursive: true });
    this.#seen.add(digest);
    await makeBelieved(this.#root, root);
    this.#onImage({ name, root, objects });
  }
}

/** A disk that cannot be told from another one, also by who recorded what was on that. */
export async function copyDisk(root: string): Promise<string> {
  const copy = copyOfDisk(root);
  await makeBelieved(root, copy);
  return copy;
}

function copyOfDisk(root: string): string {
  const copy = mkdtempSync(join(fastTmp, 'sync-agent-image-'));
  copyTree(root, copy);
  return copy;
}

function copyTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      copyTree(source, target);
      continue;
    }
    const { atime, mtime } = lstatSync(source);
    copyFileSync(source, target);
    utimesSync(target, atime, mtime);
  }
}

/** What was not synced may have been removed meanwhile. */
function truncate(path: string, size: number): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats !== undefined && stats.size > size) truncateSync(path, size);
}

/** Records name files by their inodes: those of a copy get the names that its own files have. */
async function makeBelieved(root: string, copy: string): Promise<void> {
  const names: [string, string][] = [];
  for (const dir of storesIn(root)) {
    const [old, fresh] = await Promise.all([root, copy].map((each) => namesOf(join(each, dir))));
    for (const [index, name] of (old ?? []).entries()) names.push([name, fresh?.[index] ?? name]);
  }
  const home = join(copy, '.store.sync-agent');
  for (const name of readdirIfThere(home).filter((each) => /\.json(\.tmp)?$/.test(each))) {
    const path = join(home, name);
    const text = readFileSync(path, 'utf8');
    const believed = names.reduce((done, [old, fresh]) => done.replaceAll(old, fresh), text);
    if (believed !== text) writeFileSync(path, believed);
  }
}

async function namesOf(dir: string): Promise<readonly string[]> {
  const scan = await scanStore(dir);
  return [await storeIdentity(dir), fingerprint(scan), placementFingerprint(scan)];
}

/** The store, what is about to take its place, and what it took the place of. */
function storesIn(root: string): readonly string[] {
  const home = '.store.sync-agent';
  const below = (dir: string): readonly string[] =>
    readdirIfThere(join(root, dir)).map((name) => join(dir, name));
  return [
    ...below('').filter((path) => path === 'store'),
    ...below(join(home, 'staging'))
      .flatMap(below)
      .filter((path) => path.endsWith('/data')),
    ...below(join(home, 'rollback')),
  ].filter((path) => lstatSync(join(root, path)).isDirectory());
}

function readdirIfThere(dir: string): readonly string[] {
  return lstatSync(dir, { throwIfNoEntry: false })?.isDirectory() === true ? readdirSync(dir) : [];
}

function digestOf(root: string, objects: Objects): string {
  const hash = createHash('sha256');
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).toSorted();
  // Without a swap under way, the next command empties staging before it does anything.
  const isSwapping = paths.some((path) => path.endsWith('/journal.json'));
  for (const path of paths) {
    if (!isSwapping && /\/staging(\/|$)/.test(path)) continue;
    // Says who holds a lock, and since when. Nobody reads what a crash left under a temporary name.
    if (/lock(\.json(\.tmp)?)?$/.test(path)) continue;
    hash.update(`${path}\0`);
    if (path.endsWith('.tmp')) continue;
    if (lstatSync(join(root, path)).isFile()) hash.update(readFileSync(join(root, path)));
  }
  hash.update(remoteDigest(objects));
  return hash.digest('hex');
}

/** Objects are replaced, never changed. */
export function remoteDigest(objects: ReadonlyMap<string, StoredObject>): string {
  const hash = createHash('sha256');
  for (const [key, { version }] of objects) hash.update(`${key}\0${version}\0`);
  return hash.digest('hex');
}
