import * as z from 'zod';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** Where a store stands in its own log of writes. Stores of one origin at equal positions hold the same records. */
export const positionSchema = z.object({
  /** Number of the newest operation; 0 before the first. */
  number: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
  /** SHA-256 of that operation's line. Null before the first. */
  operation: sha256.nullable(),
  /** SHA-256 of the lines of all that has no number. */
  rest: sha256,
});

export type LogPosition = z.infer<typeof positionSchema>;

export const samePosition = (a: LogPosition, b: LogPosition): boolean =>
  a.number === b.number && a.operation === b.operation && a.rest === b.rest;
