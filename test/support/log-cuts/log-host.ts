import { join } from 'node:path';
import { backup } from '../../../src/engine/backup/backup.ts';
import type { BackupResult } from '../../../src/engine/backup/backup.ts';
import type { Context } from '../../../src/engine/context.ts';
import { LogKeeper } from '../../../src/engine/continuous/log-keeper.ts';
import { verify } from '../../../src/engine/history/verify.ts';
import type { VerifyReport } from '../../../src/engine/history/verify.ts';
import { restore } from '../../../src/engine/restore/restore.ts';
import type { RestoreOptions, RestoreResult } from '../../../src/engine/restore/restore.ts';
import { lockLog } from '../../../src/home/lock.ts';
import type { Lock } from '../../../src/home/lock.ts';
import { openStoreAccess } from '../../../src/in-process/store-access.ts';
import type { StoreAccess } from '../../../src/in-process/store-access.ts';
import type { AgentEvent } from '../../../src/platform/events.ts';
import { isSyncAgentError } from '../../../src/platform/errors.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import type { StoreAdapter } from '../../../src/stores/adapter.ts';
import { queueLog } from '../../../src/stores/chroma/log/queue-log.ts';
import { adapterNamed } from '../../../src/stores/find-adapter.ts';
import type { shiftableClock } from '../host.ts';
import { contentOf, persistIndex } from '../log-model.ts';
import { QueueStore } from '../queue-store.ts';
import { writtenCollection } from './small-store.ts';

/** What users of one store were told, whichever machine had it. */
export class History {
  /** Every state that was acknowledged, in order. */
  readonly states: string[] = [];
  /** The youngest that was told to be saved. */
  saved = -1;
  /** Between what was written first and what was written later, milliseconds since the epoch. */
  moment = 0;

  copy(): History {
    const copy = new History();
    copy.states.push(...this.states);
    copy.saved = this.saved;
    copy.moment = this.moment;
    return copy;
  }
}

export interface LogHostOptions {
  readonly root: string;
  readonly remote: Remote;
  readonly clock: ReturnType<typeof shiftableClock>;
  readonly history: History;
  readonly fs?: FileSystem;
  /** Of the lease that it has. */
  readonly epoch?: number | undefined;
}

/** It does not look at what is in a store: that takes longer than all the rest, and `contentOf` looks at all that matters here. */
const adapter: StoreAdapter = {
  ...adapterNamed('chroma'),
  inspect: async (_, { arrival }) => {
    await arrival?.rest;
    return { damage: [], findings: [], statistics: { records: 1 }, databases: ['chroma.sqlite3'] };
  },
};

const nobody = async (): Promise<[]> => [];

/** A machine whose log is kept step by step: nothing happens by itself, so that a scenario has the same effects each time. */
export class LogHost {
  readonly dir: string;
  readonly store: QueueStore;
  readonly events: AgentEvent[] = [];
  /** Why the log does not go on. */
  broken: string | undefined;
  readonly #options: LogHostOptions;
  readonly #access: StoreAccess;
  #keeper: LogKeeper | undefined;
  #lock: Lock | undefined;

  constructor(options: LogHostOptions) {
    this.#options = options;
    const { root, remote, clock, fs = nodeFileSystem } = options;
    this.dir = join(root, 'store');
    this.store = new QueueStore({ dir: this.dir });
    this.#access = openStoreAccess(
      { store: this.dir, remote: 'file:///unused', host: `host-${root.slice(-6)}`, concurrency: 1 },
      {
        remote,
        fs,
        emit: (event) => this.events.push(event),
        // A backup that waits for the log is answered, and by nothing but its waiting.
        clock: {
          ...clock,
          sleep: async (ms, sleeping) => {
            await this.look();
            await clock.sleep(ms, sleeping);
          },
        },
        findStoreUsers: nobody,
        diskSpace: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }),
      },
    );
  }

  get content(): string {
    return contentOf(this.dir);
  }

  /** It writes a log. */
  get isFollowing(): boolean {
    return this.#keeper !== undefined && this.broken === undefined;
  }

  /** Whether it was told that two hosts went on from one snapshot. */
  get wasDivergenceTold(): boolean {
    return this.events.some(
      (event) => event.type === 'diverged' || (event.type === 'warning' && event.code === 'DIVERGED'),
    );
  }

  context(): Promise<Context> {
    return this.#access.read(async (each) => quick(each), undefined);
  }

  /** One or more things that users do, and are told to be done. */
  write(change: (store: QueueStore) => void): void {
    change(this.store);
    this.acknowledge();
  }

  /** The server persists the index. */
  persist(): void {
    persistIndex(this.store, writtenCollection);
  }

  acknowledge(): void {
    const { states } = this.#options.history;
    const { content } = this;
    if (content !== states.at(-1)) states.push(content);
  }

  restore(options: RestoreOptions = {}): Promise<RestoreResult> {
    return this.#access.write(
      'restore',
      (context, interrupted) => restore(quick(context), { ...options, interrupted }),
      undefined,
    );
  }

  /** As an agent does. The files are older than the clock can tell. */
  async backUp(): Promise<BackupResult> {
    const { clock, epoch } = this.#options;
    clock.forward(1000);
    const options = {
      local: { minIntervalMs: 0 },
      evenUnchanged: true,
      prune: false,
      ...(epoch === undefined ? {} : { epoch }),
    };
    return again(() =>
      this.#access.writeWhole('backup', (context) => backup(quick(context), options), undefined),
    );
  }

  verify(): Promise<VerifyReport> {
    return this.#access.read((context) => verify(quick(context), { all: true, readData: true }), undefined);
  }

  /** Begins to follow the log. */
  async follow(): Promise<void> {
    const context = await this.context();
    this.#lock = await lockLog(context.fs, context.home, { command: 'continuous' });
    this.#keeper = new LogKeeper(context, queueLog, {
      onShipped: () => undefined,
      onBroken: (why) => (this.broken = why),
      onFollowing: () => (this.broken = undefined),
    });
    await this.#keeper.begin();
    await this.look();
  }

  /** Ends it, as the end of its process does. */
  end(): void {
    this.#keeper?.close();
    this.#keeper = undefined;
    this.#lock?.release();
    this.#lock = undefined;
  }

  /** Reads, and obeys what a backup has left. */
  look(): Promise<void> {
    return again(async () => {
      this.#keeper?.read();
      await this.#keeper?.obey(async () => this.#options.epoch);
    });
  }

  /** Saves all that was acknowledged, if the log goes on: whether it is saved. */
  async flush(): Promise<boolean> {
    const { history, epoch } = this.#options;
    const asked = history.states.length - 1;
    await this.look();
    while ((await again(async () => this.#keeper?.ship(epoch))) === true);
    if (this.#keeper?.isWhole !== true) return false;
    history.saved = Math.max(history.saved, asked);
    return true;
  }
}

/** As an agent does: a failed request is made again. */
async function again<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isSyncAgentError(error, 'REMOTE_UNREACHABLE')) return work();
    throw error;
  }
}

const quick = (context: Context): Context => ({
  ...context,
  detectAdapter: async () => adapter,
  adapterNamed: () => adapter,
});
