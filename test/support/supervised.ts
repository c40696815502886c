/** `sync-agent run` with a keeper that does what SUPERVISED says and notes in SUPERVISED_LOG what happened. */
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { main } from '../../src/cli/main.ts';
import { findWriters } from '../../src/run/find-writers.ts';
import { superviseCommand } from '../../src/cli/commands/agent/supervise-command.ts';
import type { StoreKeeper } from '../../src/run/store-keeper.ts';
import { SyncAgentError } from '../../src/platform/errors.ts';
import type { ErrorCode } from '../../src/platform/errors.ts';

export interface SupervisedScript {
  readonly restoreMs?: number;
  readonly restoreError?: ErrorCode;
  readonly stopMs?: number;
  readonly isSaved?: boolean;
  /** Whose writers count; none by default. */
  readonly store?: string;
  /** An error nobody catches, once the command runs. */
  readonly hasDefect?: boolean;
  /** How long it is busy before it passes a signal on: two that arrive at once would merge into one. */
  readonly busyMs?: number;
  /** A process of the agent's own that ends with this exit code, again and again while the command runs. */
  readonly ownChildren?: number;
}

const script = JSON.parse(process.env['SUPERVISED'] ?? '{}') as SupervisedScript;
const note = (line: string): void => appendFileSync(process.env['SUPERVISED_LOG'] ?? '', `${line}\n`);

const keeper: StoreKeeper = {
  restore: async ({ signal }) => {
    note('restore');
    await delay(script.restoreMs ?? 0, undefined, { signal });
    if (script.restoreError !== undefined) throw new SyncAgentError(script.restoreError, 'Cannot restore it');
    note('restored');
  },
  start: async () => {
    note('start');
    if (script.ownChildren !== undefined) void spawnAgainAndAgain(script.ownChildren);
  },
  stop: async ({ reason }) => {
    note(`stop ${reason}`);
    await delay(script.stopMs ?? 0);
    const isSaved = script.isSaved ?? true;
    return { isSaved, unsavedSinceMs: isSaved ? null : Date.UTC(2026, 10, 21) };
  },
  onProgress: () => () => undefined,
  findWriters: async () => (script.store === undefined ? [] : findWriters(script.store)),
};

async function spawnAgainAndAgain(exitCode: number): Promise<void> {
  for (;;) {
    const child = spawn('/bin/sh', ['-c', `exit ${exitCode}`], { stdio: 'ignore' });
    const code = await new Promise((resolve) => child.once('exit', resolve));
    note(`own child exited ${String(code)}`);
  }
}

const run = superviseCommand(async () => ({
  keeper,
  emit: (event) => {
    note(JSON.stringify(event));
    if (event.type === 'stopping' && script.busyMs !== undefined) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, script.busyMs);
    }
    if (event.type === 'command-started' && script.hasDefect === true) {
      setImmediate(() => {
        throw new Error('a defect');
      });
    }
  },
  close: async () => undefined,
}));
process.exitCode = await main(process.argv.slice(2), [run]);
