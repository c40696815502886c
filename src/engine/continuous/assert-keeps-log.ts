import { SyncAgentError } from '../../platform/errors.ts';
import { storeExists } from '../../home/home.ts';
import { scanStore } from '../../stores/content/scan.ts';
import type { Context } from '../context.ts';

/** UNSUPPORTED if the store is of a kind that keeps no log of its writes. One that has no content yet may become any kind. */
export async function assertKeepsLog({ home, detectAdapter }: Context): Promise<void> {
  if (!(await storeExists(home))) return;
  const adapter = await detectAdapter(home.store);
  if (adapter.operationLog !== undefined) return;
  const { files } = await scanStore(home.store, home.exclude);
  if (files.some(({ size }) => size > 0)) throw noLog(adapter.name);
}

export const noLog = (kind: string): SyncAgentError =>
  new SyncAgentError(
    'UNSUPPORTED',
    `Cannot follow the writes of a ${kind} store: only a Chroma store keeps a log of them`,
    { remedy: 'Leave --continuous out; snapshots at --interval work for every kind of store' },
  );
