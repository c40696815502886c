import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { errnoOf } from '../../../platform/errors.ts';
import type { ServerCommand, TrialOptions } from '../../drilling.ts';
import { serverEnvironment } from './server-environment.ts';

export interface ServerProcess {
  readonly port: number;
  /** How it ended; undefined while it runs. */
  end(): string | undefined;
  /** The end of what it printed. */
  output(): string;
  /** Kills every process of its group, and waits until the first of them is gone. */
  stop(): Promise<void>;
}

/**
 * The leader of the group: beside the server it leaves a process that reads a pipe of ours. The pipe ends when this process does, also by
 * SIGKILL, and then the whole group is killed. Nothing is lost by that: what the server has is a copy.
 */
const guard = '(cat <&3 >/dev/null; kill -KILL 0) & exec "$@" 3<&-';
const keptOutput = 4000;

/** Starts a command in a process group of its own. It may still fail: see `end`. */
export async function startProcess(
  dir: string,
  { argv, cwd }: ServerCommand,
  { scratch }: TrialOptions,
): Promise<ServerProcess> {
  const port = await freePort();
  const filled = argv.map((each) => (each === '{dir}' ? dir : each === '{port}' ? String(port) : each));
  const child = spawn('sh', ['-c', guard, 'sh', ...filled], {
    cwd: cwd ?? scratch,
    env: serverEnvironment(process.env, scratch),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  let [end, output]: [string | undefined, string] = [undefined, ''];
  const gone = new Promise<void>((resolve) => {
    const finish = (how: string): void => {
      end ??= how;
      resolve();
    };
    child.once('exit', (code, signal) => finish(signal ?? `exit code ${code}`));
    child.once('error', (error) => finish(errnoOf(error) ?? error.message));
  });
  const printed = [child.stdout, child.stderr] as readonly Readable[];
  for (const stream of printed)
    stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-keptOutput)));
  const pipe = child.stdio[3] as Duplex;
  pipe.on('error', () => undefined);
  return {
    port,
    end: () => end,
    output: () => output,
    stop: async () => {
      // The guard kills the rest of the group, also if its leader is gone.
      pipe.destroy();
      if (child.pid !== undefined) killGroup(child.pid);
      await gone;
      for (const stream of printed) stream.destroy();
    },
  };
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // Nobody is left of it.
  }
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, 'close');
  return port;
}
