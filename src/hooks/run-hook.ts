import { longestTimerMs } from '../platform/clock.ts';
import { timeLeft } from '../platform/abort-signals.ts';
import { callWebhook } from './call-webhook.ts';
import type { HookAction, HookCall, HookDocument } from './hook.ts';
import { runShell } from './run-shell.ts';

export interface RunHookOptions {
  readonly timeoutMs: number;
  /** It has ended or was killed by then, whatever its time-out; milliseconds, default Infinity. */
  readonly limitMs?: number | undefined;
  /** Ends the hook early. */
  readonly signal?: AbortSignal | undefined;
  readonly onLine: (line: string) => void;
}

export type HookOutcome =
  | { readonly type: 'ok' }
  /** `message` completes "the hook failed: …" and holds no secret. */
  | { readonly type: 'failed' | 'timed-out'; readonly message: string };

/** The share of the time that is left in which an aborted hook may end by itself. */
const endingShare = 0.25;

/** Runs one hook to its end or its time-out. Never rejects. */
export async function runHook(
  action: HookAction,
  document: HookDocument,
  { timeoutMs, limitMs = Infinity, signal, onLine }: RunHookOptions,
): Promise<HookOutcome> {
  const timeout = new AbortController();
  const ms = Math.min(timeoutMs, limitMs * (1 - endingShare), longestTimerMs);
  const timer = setTimeout(() => timeout.abort(), ms);
  const ended = signal === undefined ? timeout.signal : AbortSignal.any([signal, timeout.signal]);
  let killAtMs = performance.now() + limitMs;
  const onAbort = (): void =>
    void (killAtMs = Math.min(killAtMs, performance.now() + timeLeft(signal) * endingShare));
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  try {
    const complaint = await callAction(action, document, { signal: ended, killAtMs: () => killAtMs, onLine });
    if (complaint === undefined) return { type: 'ok' };
    if (signal?.aborted === true) return { type: 'failed', message: 'it was interrupted' };
    if (timeout.signal.aborted)
      return { type: 'timed-out', message: `it took longer than ${Math.round(ms) / 1000} s` };
    return { type: 'failed', message: complaint };
  } catch {
    // The error may quote the command or the URL.
    return { type: 'failed', message: 'it could not be started' };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

function callAction(action: HookAction, document: HookDocument, call: HookCall): Promise<string | undefined> {
  switch (action.type) {
    case 'command':
      return runShell(action.command, document, call);
    case 'webhook':
      return callWebhook(action.url, document, call);
    default:
      return action satisfies never;
  }
}
