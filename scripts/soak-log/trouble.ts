/** A time in which writes could not be saved, milliseconds since the epoch. `toMs` undefined: it lasts. */
export interface Trouble {
  readonly why: string;
  readonly fromMs: number;
  toMs: number | undefined;
  /** How long after it the agent may need for its next attempt, and for what has piled up. */
  readonly recoveryMs: number;
}

/**
 * What was acknowledged until then had no excuse for not being saved at `atMs`. Before that come the interval and the requests that may be in
 * the way; and the troubles that reach up to it, because what waited for their end waits behind each other.
 */
export function safeUntil(atMs: number, troubles: readonly Trouble[], allowanceMs: number): number {
  const endOf = ({ toMs = Infinity, recoveryMs }: Trouble): number => toMs + recoveryMs;
  let limit = atMs;
  for (const trouble of troubles.toSorted((a, b) => endOf(b) - endOf(a)))
    if (trouble.fromMs <= atMs && endOf(trouble) + allowanceMs >= limit)
      limit = Math.min(limit, trouble.fromMs);
  return limit - allowanceMs;
}
