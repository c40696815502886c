import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SyncAgentError, isSyncAgentError, throwIfAborted } from '../../../platform/errors.ts';
import type { ServerCommand, TrialOptions, TrialServer } from '../../drilling.ts';
import type { CollectionDescription } from '../../record-source.ts';
import { defaultTenant, openChromaServer } from '../server/chroma-server.ts';
import type { ChromaServer } from '../server/chroma-server.ts';
import { describe } from '../server/record-source.ts';
import { openBeyondLoopback } from './beyond-loopback.ts';
import { startProcess } from './server-process.ts';
import type { ServerProcess } from './server-process.ts';

/** A database of an older version is migrated before the first heartbeat. An index that is built anew takes 30 s for 60,000 records. */
const baseMs = 120_000;
const msPerMegabyte = 1000;
/** Somebody may take the free port before the server does. */
const mostStarts = 3;
/** As the npm server says it, Python's, and Node. */
const takenPort = /address \S+ is not available|address (already )?in use|EADDRINUSE/i;

/** Starts a Chroma server and waits for its heartbeat. */
export async function startTrialServer(
  dir: string,
  command: ServerCommand,
  options: TrialOptions,
): Promise<TrialServer> {
  const { size } = await stat(join(dir, 'chroma.sqlite3'));
  const timeoutMs = baseMs + (size / 1e6) * msPerMegabyte;
  for (let starts = 1; ; starts += 1) {
    const running = await startProcess(dir, command, options);
    try {
      const server = openChromaServer({ url: `http://127.0.0.1:${running.port}`, timeoutMs });
      await waitForHeartbeat(server, running, command, { ...options, timeoutMs });
      const open = await openBeyondLoopback(running.port);
      if (open !== undefined) throw opened(command, open);
      return trialServer(server, await server.version(options), running, options);
    } catch (error) {
      await running.stop();
      const isTaken = takenPort.test(running.output());
      if (!isTaken || starts === mostStarts) throw error;
    }
  }
}

async function waitForHeartbeat(
  server: ChromaServer,
  running: ServerProcess,
  { name }: ServerCommand,
  { signal, timeoutMs }: TrialOptions & { readonly timeoutMs: number },
): Promise<void> {
  const failed = (why: string): SyncAgentError => {
    const said = running.output().trim().split('\n').slice(-3).join(' ').slice(-500);
    return new SyncAgentError(
      'STORE_CORRUPT',
      `The server "${name}" ${why}${said === '' ? '' : `; it said: ${said}`}`,
    );
  };
  const deadline = performance.now() + timeoutMs;
  for (let waitMs = 20; ; waitMs = Math.min(waitMs * 1.5, 500)) {
    throwIfAborted(signal, 'Starting a Chroma server');
    const end = running.end();
    if (end !== undefined) throw failed(`ended by itself (${end}) instead of serving the store`);
    try {
      await server.heartbeat({ signal, timeoutMs: 2000 });
      // Another server may have answered on that port while ours was failing to take it.
      await delay(50);
      if (running.end() === undefined) return;
    } catch (error) {
      if (!isSyncAgentError(error, 'REMOTE_UNREACHABLE')) throw error;
    }
    if (performance.now() > deadline) throw failed(`did not answer within ${Math.round(timeoutMs / 1000)} s`);
    await delay(waitMs);
  }
}

function trialServer(
  server: ChromaServer,
  version: string,
  running: ServerProcess,
  { signal }: TrialOptions,
): TrialServer {
  return {
    version,
    collections: async (tenants) => {
      const found: CollectionDescription[] = [];
      for (const database of await server.databases([...new Set([defaultTenant, ...tenants])], { signal }))
        for await (const each of server.collections(database, { signal })) found.push(describe(each));
      return found;
    },
    count: (collection) => server.count(collection, { signal }),
    byIds: (collection, ids) =>
      server.byIds(collection, ids, { include: ['embeddings', 'documents', 'metadatas', 'uris'], signal }),
    nearest: (collection, vector, limit) => server.query(collection, vector, limit, { signal }),
    stop: () => running.stop(),
  };
}

function opened({ name }: ServerCommand, address: string): SyncAgentError {
  return new SyncAgentError(
    'REFUSED',
    `Cannot try the server "${name}": it listens on ${address}, too, and others could write to it`,
    { remedy: 'Make it listen on 127.0.0.1 alone, as with --host 127.0.0.1' },
  );
}
