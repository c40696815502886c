import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readFileSync, readdirSync } from 'node:fs';
import type { WriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { AgentEvent, DaemonEvent } from '../../src/platform/events.ts';
import type { FaultyWire } from './faulty-wire.ts';
import type { Trouble } from './trouble.ts';

const bin = fileURLToPath(new URL('../../dist/bin.js', import.meta.url));
/** The server ends by SIGINT, not by SIGTERM. */
const ending = `trap 'kill -INT $server; wait $server; exit 0' TERM; "$0" "$@" & server=$!; wait $server`;
const chroma = fileURLToPath(new URL('../chroma-server.sh', import.meta.url));

export interface HostOptions {
  readonly name: string;
  readonly disk: string;
  readonly wire: FaultyWire;
  readonly remote: string;
  readonly env: Readonly<Record<string, string>>;
  readonly policy: readonly string[];
}

export interface CommandResult {
  readonly exitCode: number;
  readonly result: Readonly<Record<string, unknown>>;
  readonly said: string;
}

type Event = (AgentEvent | DaemonEvent) & { readonly time: string };

/** A machine with a disk. */
export class Host {
  readonly options: HostOptions;

  constructor(options: HostOptions) {
    this.options = options;
  }

  get store(): string {
    return join(this.options.disk, 'store');
  }

  async wipe(): Promise<void> {
    await rm(this.options.disk, { recursive: true, force: true, maxRetries: 20 });
    await mkdir(this.options.disk, { recursive: true });
  }

  settings(): readonly string[] {
    const { remote, name, wire } = this.options;
    return ['--store', this.store, '--remote', remote, '--host', name, '--s3-endpoint', wire.endpoint];
  }

  environment(): NodeJS.ProcessEnv {
    const { PATH = '', HOME = '/' } = process.env;
    return { PATH, HOME, ...this.options.env };
  }

  run(...args: readonly string[]): Promise<CommandResult> {
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [bin, ...args, '--json', ...this.settings()],
        { env: this.environment(), timeout: 120_000 },
        (error, stdout, stderr) => {
          const exitCode = error === null ? 0 : Number(error.code ?? -1);
          resolve({
            exitCode,
            result: parse(stdout),
            said: `sync-agent ${args.join(' ')}: exit ${exitCode}: ${stdout.slice(0, 1500)} ${stderr.slice(-1500)}`,
          });
        },
      );
    });
  }

  /** `run --continuous` with a Chroma server on the store; resolves when that answers. */
  async start(intervalMs: number, flags: readonly string[] = []): Promise<RunningHost> {
    await mkdir(this.options.disk, { recursive: true });
    const [port, http] = [await freePort(), await freePort()];
    const args = [
      'run',
      `--continuous=${intervalMs}ms`,
      '--http',
      `127.0.0.1:${http}`,
      '--log-format',
      'json',
    ];
    const child = spawn(
      process.execPath,
      [
        bin,
        ...args,
        '--verbose',
        ...this.options.policy,
        ...this.settings(),
        ...flags,
        '--',
        'sh',
        '-c',
        ending,
        chroma,
        'start',
        this.store,
        String(port),
      ],
      { env: { ...this.environment(), CHROMA_DIE_WITH_PARENT: '1' }, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const logPath = `${this.options.disk}.log`;
    const running = new RunningHost(child, { port, http, logPath });
    for (let tries = 0; !(await answers(port)); tries += 1) {
      if (tries > 1500 || running.hasEnded) {
        running.kill();
        throw new Error(`host ${this.options.name} did not start:\n${running.told()}`);
      }
      await sleep(40);
    }
    return running;
  }
}

/** The agent of a host with its server. */
export class RunningHost {
  readonly port: number;
  readonly #http: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #lines: string[] = [];
  /** All that it says, for whoever looks into a finding. */
  readonly #log: WriteStream;
  /** When the log was not followed, though the agent ran. */
  readonly troubles: Trouble[];
  gaps = 0;
  committed = 0;
  segments = 0;
  hasEnded = false;
  /** What it said at its end. */
  isSaved: boolean | undefined;

  constructor(
    child: ChildProcess,
    { port, http, logPath }: { readonly port: number; readonly http: number; readonly logPath: string },
  ) {
    this.#log = createWriteStream(logPath, { flags: 'a' });
    [this.port, this.#http, this.#child] = [port, http, child];
    alive.add(this);
    this.troubles = [{ why: 'it began', fromMs: Date.now(), toMs: undefined, recoveryMs: 0 }];
    this.#ended = once(child, 'exit').then((how: unknown) => {
      this.hasEnded = true;
      this.#log.end();
      return how;
    });
    if (child.stderr === null) throw new Error('no stderr');
    createInterface({ input: child.stderr }).on('line', (line) => this.#hear(line));
  }

  #hear(line: string): void {
    this.#log.write(`${line}\n`);
    this.#lines.push(line.slice(0, 400));
    if (this.#lines.length > 400) this.#lines.shift();
    if (!line.startsWith('{')) return;
    const event = JSON.parse(line) as Event;
    const open = this.troubles.find(({ toMs }) => toMs === undefined);
    if (event.type === 'committed') this.committed += 1;
    if (event.type === 'log-shipped') this.segments += 1;
    if (event.type === 'stopped') this.isSaved = event.isSaved;
    if (event.type === 'log-broken' && event.isGap) this.gaps += 1;
    if (event.type === 'log-broken' && open === undefined)
      this.troubles.push({
        why: event.why,
        fromMs: Date.parse(event.time) - 100,
        toMs: undefined,
        recoveryMs: 0,
      });
    if (event.type === 'log-following' && open !== undefined) open.toMs = Date.now();
  }

  /** Why it does not follow the log; undefined if it does. */
  get unfollowed(): string | undefined {
    return this.troubles.find(({ toMs }) => toMs === undefined)?.why;
  }

  told(): string {
    return this.#lines.slice(-60).join('\n');
  }

  /** Whether all that was acknowledged before is said to be saved. */
  async flush(): Promise<boolean> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.#http}/flush?timeoutMs=5000`, { method: 'POST' });
      const { isSaved } = (await answer.json()) as { isSaved?: boolean };
      return answer.ok && isSaved === true;
    } catch {
      return false;
    }
  }

  /** As with the machine's power. */
  kill(): void {
    this.#signal('SIGKILL');
  }

  freeze(): void {
    this.#signal('SIGSTOP');
  }

  thaw(): void {
    this.#signal('SIGCONT');
  }

  /** SIGTERM to the agent, which ends the server. Resolves to the exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    const [code] = (await this.#ended) as [number | null];
    alive.delete(this);
    return code;
  }

  async gone(): Promise<void> {
    await this.#ended;
    alive.delete(this);
  }

  #signal(signal: NodeJS.Signals): void {
    for (const pid of [...descendantsOf(this.#child.pid ?? 0), this.#child.pid ?? 0]) {
      try {
        if (pid > 0) process.kill(pid, signal);
      } catch {
        // It has ended.
      }
    }
  }
}

const alive = new Set<RunningHost>();
process.once('exit', () => {
  for (const each of alive) each.kill();
});

function descendantsOf(pid: number): readonly number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 4).split(' ')[0]);
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
    } catch {
      // It has ended.
    }
  }
  const found: number[] = [];
  const walk = (of: number): void => {
    for (const child of children.get(of) ?? []) {
      found.push(child);
      walk(child);
    }
  };
  walk(pid);
  return found;
}

async function answers(port: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v2/heartbeat`, {
      signal: AbortSignal.timeout(2000),
    });
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}
