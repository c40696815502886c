import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { AgentEvent } from '../../src/platform/events.ts';
import { unpackFixture } from './fixtures.ts';
import type { Fixture } from './fixtures.ts';
import { makeHost } from './host.ts';
import type { Host, HostOptions } from './host.ts';

/** A host with a Chroma store whose log is followed, without a server: writes go into the queue as a server would put them. */
export interface FollowedStore {
  readonly host: Host;
  /** What it told. */
  readonly events: readonly AgentEvent[];
  /** Acknowledges a write, of a record with this id. Resolves to its number. */
  write(id: string, text?: string): number;
  /** Makes a snapshot, behind which writes are saved from then on. Resolves to its id. */
  snapshot(): Promise<string>;
  /** Resolves when there has been such an event. */
  until(isTrue: (event: AgentEvent) => boolean): Promise<void>;
  /** Resolves when all that was written is saved. */
  flush(): Promise<void>;
  /** Ends the following: whether all was saved. */
  stop(): Promise<boolean>;
  remove(): Promise<void>;
}

export async function followStore(
  options: HostOptions,
  fixture: Fixture = 'chroma-1-b',
): Promise<FollowedStore> {
  const waiting = new Set<() => void>();
  const seen: AgentEvent[] = [];
  const host = await makeHost({
    ...options,
    ports: {
      ...options.ports,
      emit: (event) => {
        seen.push(event);
        for (const wake of waiting) wake();
      },
    },
  });
  await rm(host.store, { recursive: true, force: true });
  unpackFixture(fixture, host.store);
  const stopping = new AbortController();
  const following = host.agent.followLog({ intervalMs: 100, signal: stopping.signal });
  following.catch(() => undefined);
  const until = async (isTrue: (event: AgentEvent) => boolean): Promise<void> => {
    while (!seen.some(isTrue))
      await Promise.race([following, new Promise<void>((resolve) => waiting.add(resolve))]);
  };
  await until(({ type }) => type === 'log-broken');
  return {
    host,
    events: seen,
    write: (id, text) => writeRow(join(host.store, 'chroma.sqlite3'), id, text),
    snapshot: async () => {
      const made = await host.agent.backup({ evenUnchanged: true });
      if (made.type !== 'committed') throw new Error(`expected a commit, found ${made.type}`);
      await until((event) => event.type === 'log-following' && event.snapshot === made.id);
      return made.id;
    },
    until,
    flush: async () => {
      const { type } = await host.agent.flush({ timeoutMs: 10_000 });
      if (type !== 'flushed') throw new Error(`expected a flush, found ${type}`);
    },
    stop: async () => {
      stopping.abort();
      return (await following).isSaved;
    },
    remove: async () => {
      stopping.abort();
      await following.catch(() => undefined);
      await host.remove();
    },
  };
}

/** Puts a write of a record with this id into the queue of a database. Its number. */
export function writeRow(path: string, id: string, text = `text of ${id}`): number {
  const db = new Database(path);
  try {
    const [last] = db
      .prepare('SELECT topic, vector, encoding FROM embeddings_queue ORDER BY seq_id DESC LIMIT 1')
      .all() as [{ readonly topic: string; readonly vector: Buffer; readonly encoding: string }];
    const { lastInsertRowid } = db
      .prepare(
        'INSERT INTO embeddings_queue (operation, topic, id, vector, encoding, metadata) VALUES (2, ?, ?, ?, ?, ?)',
      )
      .run(last.topic, id, last.vector, last.encoding, JSON.stringify({ 'chroma:document': text }));
    return Number(lastInsertRowid);
  } finally {
    db.close();
  }
}
