import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type * as z from 'zod';
import type { Home } from '../home.ts';

/** The file in which this host remembers something of one remote. */
export function recordPath(home: Home, kind: 'parent' | 'drills' | 'verified', remote: string): string {
  return join(home.dir, `${kind}-${createHash('sha256').update(remote).digest('hex').slice(0, 16)}.json`);
}

/** Undefined if there is none, or if it is damaged: nothing relies on such a file alone. */
export async function readRecordFile<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    const parsed = schema.safeParse(JSON.parse(await readFile(path, 'utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
