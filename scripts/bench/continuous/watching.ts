import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { cpuMsOf } from '../measure/cpu-time.ts';

/** A piece of the log that has reached the remote. */
export interface Shipped {
  /** By this host's clock. */
  readonly atMs: number;
  /** The number of the newest write in it. */
  readonly upTo: number;
  readonly operations: number;
  readonly bytes: number;
}

/** `watch --continuous` as a user runs it, and what it says of the log. */
export class Watching {
  readonly shipped: Shipped[] = [];
  readonly broken: string[] = [];
  readonly #child: ChildProcess;
  #following: (() => void) | undefined;
  readonly following = new Promise<void>((resolve) => (this.#following = resolve));

  constructor(command: {
    readonly program: string;
    readonly args: readonly string[];
    readonly env: NodeJS.ProcessEnv;
  }) {
    this.#child = spawn(command.program, command.args, {
      env: command.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    if (this.#child.stderr === null) throw new Error('the agent has no log');
    createInterface({ input: this.#child.stderr }).on('line', (line) => {
      if (line.startsWith('{')) this.#note(JSON.parse(line) as LogLine);
    });
  }

  /** User and system time of the agent and all its processes so far. */
  cpuMs(): number {
    const pid = this.#child.pid ?? 0;
    return cpuMsOf([pid, ...childrenOf(pid)]);
  }

  async stop(): Promise<number> {
    const started = performance.now();
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
    return performance.now() - started;
  }

  #note(line: LogLine): void {
    if (line.type === 'log-following') this.#following?.();
    if (line.type === 'log-broken') this.broken.push(line.why ?? '');
    if (line.type !== 'log-shipped') return;
    const { upTo = 0, operations = 0, bytes = 0 } = line;
    this.shipped.push({ atMs: Date.parse(line.time), upTo, operations, bytes });
  }
}

interface LogLine {
  readonly type: string;
  readonly time: string;
  readonly why?: string;
  readonly upTo?: number;
  readonly operations?: number;
  readonly bytes?: number;
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
}
