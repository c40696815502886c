import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf } from '../platform/errors.ts';
import { cappedLines } from './capped-lines.ts';
import type { HookCall, HookDocument } from './hook.ts';
import { endProcessGroup, hasProcessGroups } from './process-group.ts';

/** How long output may still arrive after the shell has ended. Processes that it left behind may keep the pipe open for ever. */
const drainMs = 250;

/**
 * Runs a shell command with the document on its standard input. Resolves to undefined if it exits with 0, else to
 * what happened. Never quotes the command, which may hold secrets. When the signal aborts, it ends the command's process group.
 */
export async function runShell(
  command: string,
  document: HookDocument,
  { signal, killAtMs, onLine }: HookCall,
): Promise<string | undefined> {
  // A group of its own, so that all its processes can be ended. A Ctrl-C in the terminal reaches it through the signal.
  const child = spawn(command, {
    shell: true,
    detached: hasProcessGroups,
    env: environmentOf(document),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = endOf(child);
  const closed = once(child, 'close').catch(() => undefined);
  const { stdin, stdout, stderr } = child;
  const lines = cappedLines(onLine);
  const passed = [stdout, stderr].map((stream) => passOn(stream, lines.stream()));
  // A command need not read its input.
  stdin.on('error', () => undefined);
  stdin.end(`${JSON.stringify(document)}\n`);

  const complaint = await Promise.race([ended, aborted(signal)]);
  if (complaint === 'aborted') await endProcessGroup(child, killAtMs);
  else await Promise.race([closed, delay(drainMs, undefined, { ref: false })]);
  for (const finish of passed) finish();
  for (const stream of [stdin, stdout, stderr]) stream.destroy();
  child.unref();
  return complaint;
}

async function endOf(child: ChildProcess): Promise<string | undefined> {
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    if (code === 0) return undefined;
    return signal === null ? `it exited with ${code}` : `it was ended by ${signal}`;
  } catch (error) {
    return `it could not be started (${errnoOf(error) ?? 'unknown error'})`;
  }
}

function aborted(signal: AbortSignal): Promise<'aborted'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('aborted');
    else signal.addEventListener('abort', () => resolve('aborted'), { once: true });
  });
}

/** Returns the function that ends it. */
function passOn(stream: Readable, lines: ReturnType<ReturnType<typeof cappedLines>['stream']>): () => void {
  stream.setEncoding('utf8').on('data', (text: string) => lines.write(text));
  return () => lines.end();
}

/** Our environment and what the hook is about. The names are not `SYNC_AGENT_*`: those are settings, which a hook may need. */
function environmentOf({ hook, store, remote, host, result, error }: HookDocument): NodeJS.ProcessEnv {
  return {
    ...process.env,
    // A sync-agent that a hook calls runs no hooks; otherwise a hook could call itself for ever.
    SYNC_AGENT_IN_HOOK: '1',
    HOOK_NAME: hook,
    HOOK_STORE: store,
    HOOK_REMOTE: remote,
    HOOK_HOST: host,
    HOOK_RESULT: error === undefined ? result?.type : 'failed',
    HOOK_SNAPSHOT: result?.id,
    HOOK_ERROR_CODE: error?.code,
    HOOK_ERROR: error?.message.replaceAll('\0', ' '),
  };
}
