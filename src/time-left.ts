import { SyncAgentError } from './errors.ts';

/** Milliseconds until what the signal has interrupted must have ended; Infinity before, and where nobody said. */
export function timeLeft(signal: AbortSignal | undefined): number {
  const reason: unknown = signal?.reason;
  const untilMs = reason instanceof SyncAgentError ? reason.untilMs : undefined;
  return untilMs === undefined ? Infinity : Math.max(0, untilMs - performance.now());
}
