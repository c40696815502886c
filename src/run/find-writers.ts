import { basename } from 'node:path';
import { operationPids } from '../operations/operation-process.ts';
import type { Exclusions } from '../stores/content/exclusions.ts';
import { findStoreUsers } from '../stores/in-use.ts';
import type { Writer } from './run-subject.ts';

/** Who has the store open for writing, besides the agent's own operations. Without arguments: they may hold secrets. */
export async function findWriters(store: string, exclude?: Exclusions): Promise<readonly Writer[]> {
  const users = await findStoreUsers(store, exclude);
  return users
    .filter(({ pid, mayWrite }) => mayWrite && !operationPids.has(pid))
    .map(({ pid, command }) => ({ pid, command: basename(command.split(' ')[0] ?? '') }));
}
