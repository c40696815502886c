import * as z from 'zod';
import { isSyncAgentError } from '../../../platform/errors.ts';
import type { CollectionDescription, CollectionPlace } from '../../record-source.ts';
import { defaultDatabase, defaultTenant } from '../server/chroma-server.ts';
import type { ChromaServer } from '../server/chroma-server.ts';
import type { ServerTarget } from '../server/record-target.ts';

/** Who made a scratch collection. */
export interface ScratchOwner {
  readonly host: string;
  readonly pid: number;
  /** Tells the process from a later one of that pid. Empty where the system does not say. */
  readonly process: string;
}

const prefix = 'sync-agent-analyze-';
export const scratchName = (suffix: string): string => `${prefix}${suffix}`;
/** Longer than any analysis takes: what is older has no owner any more. By the server's clock alone. */
const longestMs = 15 * 60_000;
const database = { tenant: defaultTenant, name: defaultDatabase };

const ownerSchema = z.object({
  sync_agent_host: z.string(),
  sync_agent_pid: z.number(),
  sync_agent_process: z.string(),
  sync_agent_began_ms: z.number(),
});

/** Makes a collection that says whose it is, so that the next run can remove it if this one is killed. */
export async function makeScratch(
  target: ServerTarget,
  suffix: string,
  owner: ScratchOwner,
  nowMs: number,
  signal: AbortSignal | undefined,
): Promise<CollectionDescription> {
  const metadata = JSON.stringify({
    sync_agent_host: owner.host,
    sync_agent_pid: owner.pid,
    sync_agent_process: owner.process,
    sync_agent_began_ms: Math.round(nowMs),
  });
  const like = { id: "", name: "", tenant: database.tenant, database: database.name, dimension: null, space: null, configuration: null, schema: null, metadata }; // prettier-ignore
  return target.create(placeOf(scratchName(suffix)), like, signal);
}

/**
 * Removes the scratch collections of runs that were killed: their process is gone from this host, or they are too old. One that another
 * run works in is left alone, and so is a collection that only has such a name.
 */
export async function removeLeftovers(
  server: ChromaServer,
  target: ServerTarget,
  isGone: (owner: ScratchOwner) => boolean,
  nowMs: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const left: string[] = [];
  for await (const { name, metadata } of server.collections(database, { signal })) {
    if (!name.startsWith(prefix)) continue;
    const parsed = ownerSchema.safeParse(JSON.parse(metadata ?? 'null'));
    if (!parsed.success) continue;
    const { sync_agent_host: host, sync_agent_pid: pid, sync_agent_process: process } = parsed.data;
    const isOld = nowMs - parsed.data.sync_agent_began_ms > longestMs;
    if (isOld || isGone({ host, pid, process })) left.push(name);
  }
  for (const name of left) await removeScratch(target, name, signal);
  return left.length;
}

export async function removeScratch(
  target: ServerTarget,
  name: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await target.removeCollection(placeOf(name), signal);
  } catch (error) {
    // The answer of an earlier attempt was lost, or another run was quicker.
    if (!isSyncAgentError(error, 'NOT_FOUND')) throw error;
  }
}

const placeOf = (name: string): CollectionPlace => ({ ...database, database: database.name, name });
