import { join } from 'node:path';
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { startChromaServer } from '../../test/support/chroma-server.ts';
import type { FaultyWire } from './faulty-wire.ts';
import type { Figures } from './figures.ts';
import type { CollectionState } from './history.ts';
import type { Host, RunningHost } from './host.ts';
import { judge } from './judge.ts';
import { ServerCalls } from './server-calls.ts';
import type { Slot } from './slot.ts';
import { safeUntil } from './trouble.ts';
import type { Trouble } from './trouble.ts';

/** How a round ends. */
export const endings = ['lost', 'kept', 'handed over', 'slept'] as const;
export type Ending = (typeof endings)[number];

export interface Era {
  readonly slots: readonly Slot[];
  readonly hosts: readonly Host[];
  readonly wire: FaultyWire;
  readonly intervalMs: number;
  readonly isLeased: boolean;
  readonly isFaulty: boolean;
  readonly scratch: string;
  readonly random: () => number;
  readonly figures: Figures;
}

interface Life {
  readonly host: Host;
  readonly running: RunningHost;
  readonly startedAtMs: number;
}

/** When the machine was lost, and what has to be there. */
interface Loss {
  readonly atMs: number;
  readonly safeUntilMs: number;
  readonly isCalm: boolean;
}

const leaseFlags = ['--lease', '10s'];
const waitFlags = ['--wait-for-lease', '30s'];
/** A machine with two cores and much to do. */
const jitterMs = 700;

/** Rounds on one remote: the store lives on, on this host or that one. */
export class Rounds {
  readonly #era: Era;
  readonly #troubles: Trouble[] = [];
  /** Hosts whose disk has nothing that is not in the remote. */
  readonly #clean = new Set<Host>();
  #life: Life | undefined;
  #isEnding = false;
  #flushedAtMs = 0;
  #stopWriting: () => Promise<void> = async () => undefined;
  /** Of the round, for its line. */
  #notes: string[] = [];

  constructor(era: Era) {
    this.#era = era;
  }

  async begin(): Promise<void> {
    const [host] = this.#era.hosts;
    if (host === undefined) throw new Error('no host');
    await this.#start(host);
    await this.#followed();
    this.#write();
  }

  async #followed(): Promise<void> {
    const { running } = this.#living;
    for (let tries = 0; tries < 1500 && running.unfollowed !== undefined; tries += 1) await sleep(20);
    if (running.unfollowed !== undefined)
      throw new Error(`the log is not followed within 30 s:\n${running.told()}`);
  }

  /** Resolves to a line that says what was done and found. */
  async play(ending: Ending): Promise<string> {
    const { figures } = this.#era;
    this.#notes = [];
    await this.#work(4000 + this.#era.random() * 6000);
    figures.count(`round: ${ending}`);
    const before = figures.findings.length;
    await this.#end(ending);
    const found = figures.findings.length === before ? '' : '; VIOLATION';
    return `${ending}: ${this.#notes.join(', ')}${found}`;
  }

  async finish(): Promise<void> {
    await this.#stopWriting();
    this.#life?.running.kill();
    await this.#life?.running.gone();
  }

  get #living(): Life {
    if (this.#life === undefined) throw new Error('nothing runs');
    return this.#life;
  }

  #other(host: Host): Host {
    return this.#era.hosts.find((each) => each !== host) ?? host;
  }

  async #start(host: Host): Promise<void> {
    const startedAtMs = Date.now();
    const flags = this.#era.isLeased ? leaseFlags : [];
    const running = await host.start(this.#era.intervalMs, ['--no-restore', ...flags]);
    this.#life = { host, running, startedAtMs };
  }

  #write(): void {
    const { slots } = this.#era;
    const { running } = this.#living;
    const stopping = new AbortController();
    this.#isEnding = false;
    const server = new ServerCalls(running.port);
    const writing = slots.map((slot) => slot.write(server, stopping.signal, () => this.#isEnding));
    this.#stopWriting = async () => {
      stopping.abort();
      await Promise.all(writing);
      server.close();
      for (const slot of slots) {
        if (slot.failure !== undefined) this.#find(`a writer saw an error: ${slot.failure}`);
        slot.failure = undefined;
      }
    };
  }

  /** Lets the writers write, while this and that happens. */
  async #work(ms: number): Promise<void> {
    const { random, wire, isFaulty, figures } = this.#era;
    const untilMs = Date.now() + ms;
    const { running, host } = this.#living;
    while (Date.now() < untilMs) {
      await sleep(200 + random() * 800);
      const dice = random();
      if (dice < 0.2) {
        const atMs = Date.now();
        const isFlushed = await running.flush();
        if (isFlushed) this.#flushedAtMs = atMs;
        figures.count(isFlushed ? 'flush: saved' : 'flush: not in time');
      } else if (dice < 0.3) {
        const { exitCode, said } = await host.run('backup', '--force', '--allow-shrink');
        figures.count(`backup: exit ${exitCode}`);
        if (exitCode !== 0 && exitCode !== 8 && !(isFaulty && exitCode === 6))
          this.#find(`a backup failed: ${said}`);
      } else if (isFaulty && dice < 0.45) {
        const kind = random();
        if (kind < 0.4) wire.reset();
        else if (kind < 0.7) wire.stall(500 + random() * 4000);
        else wire.cut(500 + random() * 4000);
        figures.count('network faults');
      }
    }
  }

  async #end(ending: Ending): Promise<void> {
    const { host } = this.#living;
    const { random } = this.#era;
    switch (ending) {
      case 'lost': {
        const loss = await this.#kill();
        await this.#lookBack(loss);
        if (random() < 0.7) await host.wipe();
        if (random() < 0.5) return this.#goOn(this.#other(host), loss);
        await host.wipe();
        return this.#goOn(host, loss);
      }
      case 'kept': {
        const { atMs } = await this.#kill();
        await this.#goOn(host, { atMs, safeUntilMs: atMs, isCalm: true }, true);
        // What was not saved by then waited for the start.
        this.#troubles.push({
          why: 'it was off',
          fromMs: atMs,
          toMs: this.#living.startedAtMs,
          recoveryMs: 0,
        });
        return;
      }
      case 'handed over': {
        this.#isEnding = true;
        const { running } = this.#living;
        const stopped = running.stop();
        await sleep(random() * 300);
        await this.#stopWriting();
        const atMs = Date.now();
        const code = await stopped;
        const loss = this.#lossAt(atMs);
        this.#notes.push(`stopped with ${code} in ${Date.now() - atMs} ms`);
        const isSaved = code === 0 && running.isSaved === true;
        if (isSaved) this.#clean.add(host);
        else this.#clean.delete(host);
        if (!isSaved && !this.#era.isFaulty) this.#find(`a stop ended with ${code}:\n${running.told()}`);
        return this.#goOn(this.#other(host), isSaved ? { ...loss, safeUntilMs: atMs } : loss);
      }
      case 'slept':
        return this.#sleep();
      default:
        return ending satisfies never;
    }
  }

  /** The other host takes the lease while this one sleeps; then this one wakes up, and goes on as if it had it. */
  async #sleep(): Promise<void> {
    const { running, host } = this.#living;
    this.#isEnding = true;
    const atMs = Date.now();
    running.freeze();
    await this.#stopWriting();
    this.#clean.delete(host);
    await this.#goOn(this.#other(host), this.#lossAt(atMs));
    // Only then the other one has taken the log, too.
    await this.#followed();
    running.thaw();
    const ghost = new ServerCalls(running.port);
    const kind = { syncThreshold: undefined };
    const signal = AbortSignal.timeout(20_000);
    await ghost.carryOut({ type: 'create', name: `ghost.${atMs}`, mark: 1 }, '', kind, signal);
    for (let version = 1; version < 6; version += 1) {
      await ghost.carryOut({ type: 'upsert', ids: ['ghost'], version }, `ghost.${atMs}`, kind, signal);
      await sleep(400);
    }
    ghost.close();
    running.kill();
    await running.gone();
    const loss = await this.#kill();
    this.#notes.push('woke up');
    await this.#goOn(host, loss);
  }

  async #kill(): Promise<Loss> {
    const { running, host } = this.#living;
    this.#clean.delete(host);
    this.#isEnding = true;
    const atMs = Date.now();
    running.kill();
    await running.gone();
    await this.#stopWriting();
    return this.#lossAt(atMs);
  }

  #lossAt(atMs: number): Loss {
    const { wire, intervalMs } = this.#era;
    const { running } = this.#living;
    wire.mend();
    this.#troubles.push(...running.troubles);
    const longestMs = wire.takeLongestMs();
    const allowanceMs = intervalMs + 2 * longestMs + jitterMs;
    const limit = safeUntil(atMs, this.#allTroubles(), allowanceMs);
    this.#notes.push(
      `interval ${intervalMs} ms, longest request ${longestMs} ms, ${running.segments} segments, ${running.committed} snapshots, ${running.gaps} gaps`,
    );
    // From before a gap nobody can tell that a store was passed on.
    if (running.gaps > 0) this.#clean.clear();
    if (running.unfollowed !== undefined) this.#notes.push(`not followed: ${running.unfollowed}`);
    this.#era.figures.count('gaps', running.gaps);
    this.#era.figures.count('segments', running.segments);
    this.#era.figures.count('snapshots', running.committed);
    return {
      atMs,
      safeUntilMs: Math.max(limit, this.#flushedAtMs),
      isCalm: limit === atMs - allowanceMs,
    };
  }

  #allTroubles(): readonly Trouble[] {
    return [...this.#troubles, ...this.#era.wire.troubles];
  }

  /** Restores to a moment of this life, beside. */
  async #lookBack({ atMs }: Loss): Promise<void> {
    const { random, scratch, figures, slots } = this.#era;
    const { startedAtMs, host } = this.#living;
    if (random() < 0.5) return;
    const momentMs = Math.floor(startedAtMs + (atMs - startedAtMs) * (0.3 + 0.7 * random()));
    const to = join(scratch, `at-${momentMs}`);
    const moment = new Date(momentMs).toISOString();
    const { exitCode, result, said } = await host.run('restore', '--to', to, '--at', moment);
    if (exitCode !== 0) return this.#find(`a restore to ${moment} failed: ${said}`);
    const server = await startChromaServer({ path: to });
    const found = await this.#read(server.port);
    await server.stop('SIGKILL');
    const allowanceMs = this.#era.intervalMs + jitterMs + 1000;
    const safeUntilMs = safeUntil(momentMs, this.#allTroubles(), allowanceMs);
    for (const slot of slots) {
      const { finding } = judge({
        base: slot.base,
        operations: slot.operations,
        found: found?.get(slot),
        safeUntilMs,
        sentUntilMs: momentMs,
      });
      if (finding !== undefined)
        this.#find(`as of ${moment} (${JSON.stringify(result)}), ${slot.spec.name}: ${finding}`);
    }
    figures.count('restored to a moment');
    this.#notes.push(`${atMs - momentMs} ms before the end looked at`);
    await rm(to, { recursive: true, force: true });
    await rm(join(scratch, `.at-${momentMs}.sync-agent`), { recursive: true, force: true });
  }

  /** Restores on a host, opens the store with a new server and compares, and goes on there. */
  async #goOn(host: Host, loss: Loss, isSame = false): Promise<void> {
    const { slots, figures, isLeased } = this.#era;
    await this.#restore(host, isSame);
    await this.#start(host);
    const found = await this.#read(this.#living.running.port);
    let lostMs = 0;
    for (const slot of slots) {
      const { base, operations } = slot;
      const verdict = judge({ base, operations, found: found?.get(slot), safeUntilMs: loss.safeUntilMs });
      if (verdict.finding !== undefined) {
        const limit = `limit ${loss.atMs - loss.safeUntilMs} ms before the end`;
        this.#find(`${slot.spec.name} (${limit}): ${verdict.finding}`);
      }
      if (verdict.lostSinceMs !== undefined) lostMs = Math.max(lostMs, loss.atMs - verdict.lostSinceMs);
      if (isSame) slot.keepOn(verdict.count ?? operations.length);
      else slot.goOnAfter(verdict.count ?? operations.length);
      figures.acknowledged += slot.acknowledged;
      slot.acknowledged = 0;
    }
    if (!isSame) {
      figures.lostMs.push({ ms: lostMs, isCalm: loss.isCalm });
      this.#troubles.length = 0;
      this.#flushedAtMs = 0;
    }
    this.#notes.push(`lost ${lostMs} ms${loss.isCalm ? '' : ' amid trouble'}${isLeased ? ', leased' : ''}`);
    this.#write();
  }

  async #restore(host: Host, isSame: boolean): Promise<void> {
    const { isLeased, figures } = this.#era;
    const flags = isLeased ? waitFlags : [];
    const { exitCode, result, said } = await host.run('restore', ...flags);
    const type = typeof result['type'] === 'string' ? result['type'] : `exit ${exitCode}`;
    figures.count(`restore: ${type}`);
    this.#notes.push(`restore: ${type}`);
    if (isSame || (exitCode === 0 && (type === 'restored' || type === 'equal'))) {
      if (exitCode !== 0) this.#find(`a restore of the same disk failed: ${said}`);
      return;
    }
    // 5: a server that was killed while it wrote an index has left half of it.
    const isExplained = !this.#clean.has(host) && (exitCode === 4 || exitCode === 5 || type === 'ahead');
    if (!isExplained) this.#find(`a restore failed: ${said}`);
    const forced = await host.run('restore', '--force', ...flags);
    if (forced.exitCode !== 0) this.#find(`a forced restore failed: ${forced.said}`);
  }

  /** Of each slot, what a server has. */
  async #read(port: number): Promise<ReadonlyMap<Slot, CollectionState> | undefined> {
    const { slots, figures } = this.#era;
    const found = new Map<Slot, CollectionState>();
    const server = new ServerCalls(port);
    try {
      for (const collection of await server.readAll()) {
        const slot = slots.find(({ spec }) => collection.name.startsWith(`${spec.name}.`));
        if (slot === undefined) this.#find(`a collection that is of another host: "${collection.name}"`);
        else if (found.has(slot)) this.#find(`two collections of ${slot.spec.name}`);
        else found.set(slot, collection);
        figures.compared += collection.records.size;
      }
      return found;
    } catch (error) {
      this.#find(`a restored store cannot be read: ${String(error)}`);
      return undefined;
    } finally {
      server.close();
    }
  }

  #find(what: string): void {
    this.#era.figures.findings.push(what);
  }
}
