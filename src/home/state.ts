import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { SyncAgentError, errnoOf, messageOf } from '../platform/errors.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { writeFileAtomic } from '../platform/file-system.ts';
import type { Home } from './home.ts';
import { statePath } from './home.ts';

const stateFormat = 1;
const hex = z.string().regex(/^[0-9a-f]{64}$/);

const remoteStateSchema = z.object({
  /** The snapshot this store's content was last equal to, and the commit object it is known by. */
  parent: z.object({ id: z.string(), generation: z.number().int(), lastModifiedMs: z.number() }).nullable(),
  /** Of the store when it was equal to `parent`; null when it may have been written since, or when a commit is due all the same. */
  fingerprint: hex.nullable(),
  /** An upload about to be committed: if the log holds it, that is our parent and its answer was lost. */
  pending: z.object({ id: z.string(), fingerprint: hex.nullable() }).nullable(),
  createOnly: z.enum(['enforced', 'ignored', 'rejected']).nullable(),
  /** Snapshots that the store was chosen over: by a person who restored another one, or because they are damaged. */
  settled: z.array(z.string()),
});

const stateSchema = z.object({
  format: z.literal(stateFormat),
  /** `storeIdentity` of the store that `remotes` speak of. */
  identity: z.string(),
  remotes: z.record(z.string(), remoteStateSchema),
  /** `fingerprint` of the store when it was last found sound. */
  sound: hex.optional(),
});

/** What this host knows about the store and one remote. Losing it costs a comparison by content, never data. */
export type RemoteState = z.infer<typeof remoteStateSchema>;
export type LocalState = z.infer<typeof stateSchema>;

export const noRemoteState: RemoteState = {
  parent: null,
  fingerprint: null,
  pending: null,
  createOnly: null,
  settled: [],
};

/** Undefined when there is none, or when it is damaged: lineage is then unknown and content decides. */
export async function readState(home: Home): Promise<LocalState | undefined> {
  const path = statePath(home);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw new SyncAgentError('DENIED', `Cannot read the state "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
  const raw = parseJson(text);
  const format = z.object({ format: z.number() }).safeParse(raw);
  if (format.success && format.data.format > stateFormat) {
    throw new SyncAgentError(
      'TOO_NEW',
      `Cannot read the state "${path}": it was written by a newer version`,
      {
        remedy: 'Install the newest sync-agent on this host',
      },
    );
  }
  const parsed = stateSchema.safeParse(raw);
  return parsed.success ? parsed.data : undefined;
}

export async function writeState(fs: FileSystem, home: Home, state: LocalState): Promise<void> {
  await fs.makeDirectory(home.dir);
  await writeFileAtomic(fs, statePath(home), `${JSON.stringify(state, null, 1)}\n`);
}

/** The parent's manifest is kept beside the state, so that a backup need not fetch it. A cache: checked when read. */
export function cachedManifestPath(home: Home, location: string): string {
  return join(home.dir, `parent-${createHash('sha256').update(location).digest('hex').slice(0, 16)}.json`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
