import type { Agent } from '../api/agent.ts';
import type { MergeIntoServerOptions } from '../api/record-operations.ts';
import type { Context } from '../engine/context.ts';
import { mergeHosts } from '../engine/merge/merge-hosts.ts';
import type { MergeResult } from '../engine/merge/merge-result.ts';
import { storeExists } from '../home/home.ts';
import { isSyncAgentError } from '../platform/errors.ts';
import { openServerSource } from '../stores/chroma/server/record-source.ts';
import { notifyRunningAgent } from './notify-running-agent.ts';
import { targetByUrl } from './write-by-url.ts';

export interface MergeCalls extends Pick<Agent, 'backup' | 'pin'> {
  /** In the operation log: within what the snapshot is made. */
  readonly within: string;
}

/** How long the snapshot from before a merge is kept at least. */
const pinMs = 7 * 86_400_000;

export async function mergeByUrl(
  context: Context,
  sides: { readonly ours: string; readonly theirs: string },
  { chroma, ...options }: MergeIntoServerOptions,
  { backup, pin, within }: MergeCalls,
): Promise<MergeResult> {
  const { signal } = context;
  const result = await mergeHosts(
    context,
    sides,
    {
      target: targetByUrl(context, chroma),
      openServer: async (tenant) => {
        try {
          return await openServerSource({ url: chroma }, { tenant, signal });
        } catch (error) {
          if (isSyncAgentError(error, 'NOT_FOUND')) return undefined;
          throw error;
        }
      },
      protect: async (ours) => {
        const call = { signal, within };
        const kept = { reason: 'before "merge"', forMs: pinMs };
        // Without a store here, the server's is elsewhere. It has the records of that snapshot.
        const made = (await storeExists(context.home)) ? await backup({ pin: kept, ...call }) : undefined;
        const id = made === undefined || made.type === 'planned' ? ours : made.id;
        if (made?.type !== 'committed') await pin(id, { ...kept, ...call });
        return id;
      },
    },
    options,
  );
  if (result.type === 'merged') await notifyRunningAgent(context);
  return result;
}
