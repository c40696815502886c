import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ChromaClient } from 'chromadb';

const script = fileURLToPath(new URL('../../scripts/chroma-server.sh', import.meta.url));
const running = new Set<ChildProcess>();
let reason: string | undefined | null = null;

export interface ChromaServerOptions {
  /** The data directory; made if absent. */
  readonly path: string;
  /** A free one by default. */
  readonly port?: number;
}

export interface ChromaServer {
  readonly url: string;
  readonly port: number;
  readonly client: ChromaClient;
  readonly pid: number;
  /** Resolves when the process has ended, for whatever reason, to how it ended. */
  readonly ended: Promise<string>;
  /** Ends the process by SIGINT, by SIGKILL if that does not help, and waits until it is gone. */
  stop(signal?: 'SIGINT' | 'SIGKILL'): Promise<void>;
}

/**
 * Why a real Chroma server cannot run here, undefined if it can; for `describe.skipIf(chromaAvailable() !== undefined)`.
 * Says the reason on stderr. With SYNC_AGENT_TEST_REQUIRE_CHROMA=1 it throws instead, so that nothing is skipped.
 */
export function chromaAvailable(): string | undefined {
  if (reason === null) {
    reason = findReason();
    if (reason !== undefined)
      process.stderr.write(`\nSKIPPING every test on a real Chroma server: ${reason}\n\n`);
  }
  if (reason !== undefined && process.env['SYNC_AGENT_TEST_REQUIRE_CHROMA'] === '1') {
    throw new Error(`SYNC_AGENT_TEST_REQUIRE_CHROMA is set, but: ${reason}`);
  }
  return reason;
}

/** Starts the newest real server on a directory and waits for its heartbeat. It dies with this process at the latest. */
export async function startChromaServer(options: ChromaServerOptions): Promise<ChromaServer> {
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await findFreePort());
    try {
      return await start(options.path, port);
    } catch (error) {
      // Somebody may have taken the free port meanwhile.
      if (options.port !== undefined || attempt === 3) throw error;
    }
  }
}

/**
 * The same on a directory of an older version, which the first start changes. If that is 0.4.24, the server's threads that
 * connected before do not know the new columns, and panic at their first read: in four of ten starts under load, and in none of the
 * next ones.
 */
export async function startMigratedServer(options: ChromaServerOptions): Promise<ChromaServer> {
  await (await startChromaServer(options)).stop();
  return startChromaServer(options);
}

async function start(path: string, port: number): Promise<ChromaServer> {
  const child = spawn(script, ['start', path, String(port)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CHROMA_DIE_WITH_PARENT: '1' },
  });
  running.add(child);
  let log = '';
  const remember = (chunk: Buffer): void => {
    log = (log + chunk.toString()).slice(-4000);
  };
  child.stdout.on('data', remember);
  child.stderr.on('data', remember);

  let end: string | undefined;
  const ended = new Promise<string>((resolve) => {
    const finish = (how: string): void => {
      running.delete(child);
      end ??= how;
      resolve(end);
    };
    child.once('exit', (code, signal) => finish(signal ?? `exit code ${code}`));
    child.once('error', (error) => finish(error.message));
  });

  const stop = async (signal: 'SIGINT' | 'SIGKILL' = 'SIGINT'): Promise<void> => {
    if (end !== undefined) return;
    child.kill(signal);
    const killer = setTimeout(() => child.kill('SIGKILL'), 5000);
    await ended;
    clearTimeout(killer);
  };

  const url = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + 60_000;
  while (!(await answers(url))) {
    if (end !== undefined || Date.now() > deadline) {
      await stop('SIGKILL');
      throw new Error(
        `Cannot start a Chroma server on "${path}" (${end ?? 'no heartbeat in 60 s'}):\n${log}`,
      );
    }
    await sleep(30);
  }
  // Another server may have answered on that port while ours was failing to bind it.
  await sleep(20);
  if (end !== undefined || child.pid === undefined) {
    throw new Error(`Cannot start a Chroma server on "${path}" (${end}):\n${log}`);
  }
  const client = new ChromaClient({ host: '127.0.0.1', port });
  return { url, port, client, pid: child.pid, ended, stop };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/api/v2/heartbeat`, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('Cannot find a free port');
  return address.port;
}

function findReason(): string | undefined {
  try {
    execFileSync(script, ['check'], { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
    return undefined;
  } catch (error) {
    const output = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    return output || String(error);
  }
}

process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
