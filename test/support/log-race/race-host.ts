import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commitImage } from '../../../src/engine/backup/commit-image.ts';
import type { StoreImage } from '../../../src/engine/backup/image/capture-store.ts';
import { leftBehind } from '../../../src/engine/backup/left-behind.ts';
import type { Context } from '../../../src/engine/context.ts';
import { applyLog } from '../../../src/engine/continuous/apply-log.ts';
import { FlushRequests } from '../../../src/engine/continuous/flush-requests.ts';
import { handOver } from '../../../src/engine/continuous/hand-over.ts';
import { LogKeeper } from '../../../src/engine/continuous/log-keeper.ts';
import { chooseSnapshot } from '../../../src/engine/history/choose-snapshot.ts';
import type { Lease } from '../../../src/engine/lease/lease.ts';
import { acquireLease, releaseLease, renewLease } from '../../../src/engine/lease/lease.ts';
import {
  knownFacts,
  parentRef,
  readLineage,
  recordAdopted,
  recordRemoteState,
} from '../../../src/engine/lineage.ts';
import { manifestOf, readRemote } from '../../../src/engine/remote-log.ts';
import { relateToCandidate } from '../../../src/engine/restore/candidate-relation.ts';
import { planRestore } from '../../../src/engine/restore/plan-restore.ts';
import { historyKey } from '../../../src/formats/plain/keys.ts';
import { plainFormat } from '../../../src/formats/plain/plain-format.ts';
import { formatsOf } from '../../../src/formats/registry.ts';
import { flushRoot, writeLogShipped } from '../../../src/home/log-files.ts';
import { lockLog } from '../../../src/home/lock.ts';
import type { Lock } from '../../../src/home/lock.ts';
import { noRemoteState } from '../../../src/home/state.ts';
import { listCommitCopies } from '../../../src/log/commit-copies.ts';
import type { LogView } from '../../../src/log/commit-log.ts';
import { makeSnapshotId } from '../../../src/log/layout.ts';
import type { LogEntry } from '../../../src/log/manifest.ts';
import { isSyncAgentError } from '../../../src/platform/errors.ts';
import type { AgentEvent } from '../../../src/platform/events.ts';
import { collect, textBody } from '../../../src/remotes/body.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import type { StoreAdapter } from '../../../src/stores/adapter.ts';
import type { OperationLog } from '../../../src/stores/operation-log.ts';
import { contextOf } from '../race.ts';
import { ModelStore, modelLog, textOf } from './model-store.ts';
import type { Content } from './model-store.ts';
import type { TurnOptions } from './turns.ts';

export const ttlMs = 30_000;
/** Each second of it costs a request. */
const waitMs = 3000;
/** As long as a backup waits for who follows the log. */
const captureTries = 3;
const patienceMs = 15_000;
/** Backups that one process makes because its log is broken. */
const mostBackups = 6;

/** Nobody looks at the current files here. */
const { publish: _, ...unpublished } = plainFormat;
const formats = formatsOf(unpublished);

/** What a host finds around it. */
export interface Surroundings {
  readonly root: string;
  readonly index: number;
  readonly remote: Remote;
  readonly now: () => number;
  readonly random: () => number;
  readonly hasLeases: boolean;
  /** A turn of this host. */
  readonly turn: (options?: TurnOptions) => Promise<void>;
  /** Time passes. */
  readonly pass: (ms: number) => void;
  /** All that runs there ends at once. */
  readonly drop: () => void;
  /** What the store holds from now on is new, or came from the remote. */
  readonly onChange: (content: Content, how: 'written' | 'restored') => void;
  readonly onFailure: (error: unknown) => void;
  readonly wrapLog: (log: OperationLog) => OperationLog;
}

/** Giving up is an answer: the host tries again later. */
const answers = ['BUSY', 'NOT_FOUND', 'REMOTE_UNREACHABLE', 'REFUSED'] as const;
const isAnswer = (error: unknown): boolean => answers.some((code) => isSyncAgentError(error, code));

/** A machine whose store is followed, backed up and restored by the engine; the store, the image and the upload are models. */
export class RaceHost {
  /** What it was told: that its log cannot go on, that it lost its lease, that others went on. */
  readonly told = new Set<string>();
  lease: Lease | undefined;
  readonly #around: Surroundings;
  readonly #context: Context;
  readonly #stores = new Map<string, ModelStore>();
  readonly #adapter: StoreAdapter;
  #images = 0;
  #flushes = 0;
  readonly #counts = { obeyed: 0 };
  /** Something happened since the last look. */
  #isStirred = false;
  #store: ModelStore | undefined;
  #keeper: LogKeeper | undefined;
  #lock: Lock | undefined;
  #isDue = false;
  #backups = 0;
  #isBackingUp = false;

  constructor(around: Surroundings) {
    this.#around = around;
    const { root, index, remote, now, random } = around;
    const log = around.wrapLog(modelLog(this.#stores));
    this.#adapter = {
      name: 'chroma',
      operationLog: async () => log,
    } as Partial<StoreAdapter> as StoreAdapter;
    const plain = contextOf(remote, now, random, `host-${index}`);
    this.#context = {
      ...plain,
      formats,
      fs: { ...plain.fs, sync: async () => undefined },
      home: { store: join(root, 'store'), dir: join(root, 'home'), swap: 'rename' },
      clock: {
        ...plain.clock,
        sleep: async (ms) => {
          await around.turn({ weight: 4 });
          around.pass(ms);
        },
      },
      adapterNamed: () => this.#adapter,
      detectAdapter: async () => this.#adapter,
      emit: (event) => this.#hear(event),
    };
    mkdirSync(this.#context.home.dir, { recursive: true });
  }

  get isRunning(): boolean {
    return this.#keeper !== undefined;
  }

  /** As a program starts under `run --continuous`: takes the lease, restores, and follows what is written from then on. */
  async start(): Promise<void> {
    const { hasLeases } = this.#around;
    if (hasLeases) this.lease = await acquireLease(this.#context, { ttlMs, waitMs, onTimeout: 'take-over' });
    await this.#restore();
    await this.#follow();
  }

  /** A store that comes from nowhere. */
  create(content: Content): void {
    this.#place(content, 'written');
  }

  change(work: (store: ModelStore) => void): void {
    if (this.#store === undefined || !this.isRunning) return;
    work(this.#store);
    this.#isStirred = true;
    this.#around.onChange(this.#store.content, 'written');
  }

  /** The queue loses what an index has. */
  purge(): void {
    this.#store?.purge();
  }

  /** Whether all that was written before is saved. */
  async flush(): Promise<boolean> {
    if (!this.isRunning) return false;
    const path = join(flushRoot(this.#context.home), `flush-${(this.#flushes += 1)}`);
    writeFileSync(path, '');
    this.#isStirred = true;
    const { turn } = this.#around;
    await turn({ weight: 4, isReady: () => !existsSync(path), isPatient: true });
    const isSaved = !existsSync(path);
    rmSync(path, { force: true });
    return isSaved;
  }

  async renew(): Promise<void> {
    if (this.lease === undefined) return;
    const { lease } = this;
    const renewed = await answered(() => renewLease(this.#context, lease), undefined);
    if (renewed?.type === 'renewed') this.lease = renewed.lease;
    if (renewed?.type === 'lost') this.told.add('lease');
  }

  /** Nothing is left to do: no backup is under way, and no log to be ended. */
  async settle(): Promise<boolean> {
    let isSaved = false;
    do {
      await this.#around.turn({ isReady: () => !this.#isBackingUp, isPatient: true });
      isSaved = await this.flush();
    } while (this.#isBackingUp);
    return isSaved;
  }

  /** The process dies. `losesDisk`: with its machine. */
  die({ losesDisk }: { readonly losesDisk: boolean }): void {
    this.#around.drop();
    this.#end();
    if (!losesDisk) return;
    const { store, dir } = this.#context.home;
    for (const path of [store, dir]) rmSync(path, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    this.#stores.clear();
    this.#store = undefined;
  }

  /** Ends in good order: the rest is saved, and the lease given back. */
  async leave(): Promise<boolean> {
    const isSaved = await (this.lease === undefined ? this.settle() : this.flush());
    this.#around.drop();
    this.#end();
    const { lease } = this;
    if (lease !== undefined) await answered(() => releaseLease(this.#context, lease), undefined);
    return isSaved;
  }

  /** What the remote gives a bare machine, of snapshot `entry`. */
  static async contentOf(context: Context, view: LogView, entry: LogEntry): Promise<Content> {
    const manifest = await manifestOf(context, view, entry);
    const dir = join(context.home.dir, 'copy');
    const { body, size } = await context.remote.get(historyKey(entry.id, 'f'));
    const image = JSON.parse((await collect(body, size)).toString('utf8')) as Content;
    const stores = new Map([[dir, new ModelStore(dir, image)]]);
    const log = modelLog(stores);
    const adapter = { operationLog: async () => log } as Partial<StoreAdapter> as StoreAdapter;
    await applyLog({ ...context, adapterNamed: () => adapter }, manifest, dir);
    return stores.get(dir)?.content ?? image;
  }

  /** Makes a snapshot, as `engine/backup/backup.ts` does it. */
  async backup(): Promise<void> {
    if (this.#isBackingUp || this.#store === undefined) return;
    this.#isBackingUp = true;
    try {
      await answered(() => this.#backUp(), undefined);
    } finally {
      this.#isBackingUp = false;
      this.#isStirred = true;
    }
  }

  async #backUp(tries = 1): Promise<void> {
    const context = this.#context;
    const { remote, clock } = context;
    const view = await readRemote(context);
    const lineage = await readLineage(context, view);
    const image = this.#capture();
    const { epoch } = this.lease ?? {};
    const id = makeSnapshotId(clock.now(), clock.randomHex(4));
    await recordAdopted(context, lineage);
    const handedOver = await handOver(this.#patient(), image, id);
    const text = textOf(this.#stores.get(image.dir)!.content);
    const { serverTime } = await remote.put(historyKey(id, 'f'), textBody(text));
    const copies = await listCommitCopies(remote);
    const left = await leftBehind(
      context,
      { view, lineage, dir: image.dir, epoch, handedOver },
      { id, createOnly: 'enforced' },
    );
    if (left.some(({ whose }) => whose === 'own') && tries < captureTries) return this.#backUp(tries + 1);
    const sha256 = createHash('sha256').update(text).digest('hex');
    const made = await commitImage(context, {
      id,
      view,
      lineage,
      image,
      position: handedOver.position,
      left,
      judged: {
        damage: [],
        findings: [],
        statistics: { records: 1 },
        databases: undefined,
        fullTextDueAt: undefined,
      },
      staged: {
        type: 'staged',
        plan: { type: 'commit', upload: [], reuse: [], earlier: new Map(), uploadBytes: 0, reuseBytes: 0 },
        base: undefined,
        parentId: lineage.parent ?? null,
        written: { files: [{ path: 'f', size: text.length, sha256, mode: 0o600, mtimeMs: 0 }], serverTime },
        copies,
        createOnly: 'enforced',
        lost: [],
        copiedBytes: 0,
      },
      options: epoch === undefined ? {} : { epoch },
    });
    if (made.type === 'committed' && made.isFenced) this.told.add('fenced');
  }

  /** Waits for the follower's answer. */
  #patient(): Context {
    const { clock } = this.#context;
    const { turn, pass } = this.#around;
    const sleep = async (ms: number): Promise<void> => {
      const { obeyed } = this.#counts;
      this.#isStirred = true;
      await turn({ weight: 4, isReady: () => this.#counts.obeyed > obeyed, isPatient: true });
      // If nobody answers, time is all that passes.
      pass(this.#counts.obeyed > obeyed ? ms : patienceMs);
    };
    return { ...this.#context, clock: { ...clock, sleep } };
  }

  #capture(): StoreImage {
    const dir = join(this.#context.home.dir, `image-${(this.#images += 1)}`);
    this.#stores.set(dir, new ModelStore(dir, this.#store!.content));
    return {
      dir,
      store: this.#adapter,
      adapter: 'chroma',
      capturedAtMs: this.#around.now(),
      fingerprint: null,
      files: [],
      mode: 0o700,
      directories: [],
      emptyDirectories: [],
      heldMs: 0,
      longestHoldMs: 0,
      known: undefined,
      identity: '',
      leftAlone: { foreign: [], excluded: [] } as unknown as StoreImage['leftAlone'],
    };
  }

  /** As `engine/restore/restore.ts` decides. A store that diverged is left alone, and that is told. */
  async #restore(): Promise<void> {
    const context = this.#context;
    const view = await readRemote(context);
    const entries = view.snapshots.map(({ entry }) => entry);
    if (entries.length === 0) return;
    const target = chooseSnapshot(entries, undefined);
    if (this.#store !== undefined) {
      const lineage = await readLineage(context, view);
      if (lineage.parent === undefined) throw new Error('the record of a store is lost');
      const local = knownFacts(lineage, lineage.parent);
      const log = await relateToCandidate(context, view, { candidate: target, local });
      const plan = planRestore({ snapshots: entries, target, local, log, isNamed: false, force: false });
      if (plan.type === 'diverged') this.told.add('diverged');
      if (plan.type !== 'restore') return;
    }
    const manifest = await manifestOf(context, view, target);
    const { body, size } = await context.remote.get(historyKey(target.id, 'f'));
    const image = JSON.parse((await collect(body, size)).toString('utf8')) as Content;
    const staged = join(context.home.dir, 'staged');
    this.#stores.set(staged, new ModelStore(staged, image));
    const log = await applyLog(context, manifest, staged);
    this.#place(this.#stores.get(staged)!.content, 'restored');
    await recordRemoteState(context, {
      ...noRemoteState,
      createOnly: 'enforced',
      parent: parentRef(view, target),
    });
    if (log === undefined) return;
    const { segments, position } = log;
    await writeLogShipped(context.fs, context.home, { snapshot: target.id, number: segments, position });
  }

  #place(content: Content, how: 'written' | 'restored'): void {
    const { store } = this.#context.home;
    this.#store = new ModelStore(store, content);
    this.#stores.set(store, this.#store);
    this.#around.onChange(content, how);
  }

  async #follow(): Promise<void> {
    const context = this.#context;
    await context.fs.makeDirectory(flushRoot(context.home));
    this.#lock = await lockLog(context.fs, context.home, { command: 'continuous' });
    const log = await this.#adapter.operationLog!();
    const keeper = new LogKeeper(context, log, {
      onShipped: () => undefined,
      onBroken: (why) => {
        this.told.add(why);
        this.#isDue = true;
      },
      onFollowing: () => {
        this.#isDue = false;
      },
    });
    await keeper.begin();
    this.#keeper = keeper;
    this.#isStirred = true;
    this.#backups = 0;
    for (const work of [this.#look(keeper), this.#backUpWhenDue()]) work.catch(this.#around.onFailure);
  }

  /** As `engine/continuous/follow-log.ts` does it, for ever. */
  async #look(keeper: LogKeeper): Promise<never> {
    const flushes = new FlushRequests(this.#context);
    const epoch = async (): Promise<number | undefined> => this.lease?.epoch;
    let shipping: Promise<void> | undefined;
    let obeying: Promise<boolean> | undefined;
    let waiting: Promise<undefined> | undefined;
    const stirred = { isReady: () => this.#isStirred };
    for (;;) {
      await this.#around.turn(stirred);
      this.#isStirred = false;
      flushes.see();
      keeper.read();
      obeying ??= answered(() => keeper.obey(epoch).then(() => true), false);
      waiting ??= this.#around.turn(stirred).then(() => (waiting = undefined));
      const obeyed = await Promise.race([obeying, waiting]);
      if (obeyed !== undefined) {
        obeying = undefined;
        this.#counts.obeyed += 1;
        if (!obeyed) this.#isStirred = true;
      }
      if (obeyed === true) flushes.promise(keeper.savePoint());
      if (keeper.hasPending)
        shipping ??= answered(async () => {
          while (await keeper.ship(this.lease?.epoch));
        }, undefined).finally(() => {
          shipping = undefined;
          this.#isStirred = true;
        });
      if (obeyed === true) await flushes.answer(keeper.savePoint());
      else this.#isStirred ||= flushes.isWaiting;
    }
  }

  async #backUpWhenDue(): Promise<void> {
    for (;;) {
      await this.#around.turn({ isReady: () => this.#isDue && !this.#isBackingUp });
      if ((this.#backups += 1) > mostBackups) return;
      await this.backup();
    }
  }

  #end(): void {
    this.#keeper?.close();
    this.#keeper = undefined;
    this.#lock?.release();
    this.#lock = undefined;
    this.#isDue = false;
    this.#isBackingUp = false;
  }

  #hear(event: AgentEvent): void {
    if (event.type === 'diverged') this.told.add('diverged');
    if (event.type === 'warning' && event.code === 'DIVERGED') this.told.add(event.message);
  }
}

async function answered<T, U>(work: () => Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await work();
  } catch (error) {
    if (isAnswer(error)) return otherwise;
    throw error;
  }
}
