import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { SyncAgentError, errnoOf, messageOf } from '../platform/errors.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { writeFileAtomic } from '../platform/file-system.ts';
import type { Home } from './home.ts';
import { statePath } from './home.ts';
import { recordPath } from './records/record-file.ts';

const stateFormat = 1;
const hex = z.string().regex(/^[0-9a-f]{64}$/);

export const remoteStateSchema = z.object({
  /** The snapshot that the store's content was last equal to, and the commit object that identifies it. */
  parent: z.object({ id: z.string(), generation: z.number().int(), lastModifiedMs: z.number() }).nullable(),
  /** The store's fingerprint when it was equal to `parent`. Null if it may have been written since, or if a commit is due anyway. */
  fingerprint: hex.nullable(),
  /** An upload that is about to be committed. If the log has it, the answer was lost, and it is our parent. */
  pending: z.object({ id: z.string(), fingerprint: hex.nullable() }).nullable(),
  createOnly: z.enum(['enforced', 'ignored', 'rejected']).nullable(),
  /** Snapshots that lost against the store: a person restored another one, or they are damaged. */
  settled: z.array(z.string()),
});

const stateSchema = z.object({
  format: z.literal(stateFormat),
  /** `storeIdentity` of the store that `remotes` describe. */
  identity: z.string(),
  remotes: z.record(z.string(), remoteStateSchema),
  /** The store's fingerprint when it was last found sound. */
  sound: hex.optional(),
});

/** What this host knows about the store and one remote. If it is lost, the next run compares contents; no data is lost. */
export type RemoteState = z.infer<typeof remoteStateSchema>;
export type LocalState = z.infer<typeof stateSchema>;

export const noRemoteState: RemoteState = {
  parent: null,
  fingerprint: null,
  pending: null,
  createOnly: null,
  settled: [],
};

/** Undefined if there is no state, or if it is damaged. Lineage is then unknown, and content decides. */
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

/** A cache of the parent's manifest, so that a backup need not fetch it. It is checked when it is read. */
export function cachedManifestPath(home: Home, location: string): string {
  return recordPath(home, 'parent', location);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
