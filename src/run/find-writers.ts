import { basename } from 'node:path';
import { operationPids } from '../operations/operation-process.ts';
import type { Exclusions } from '../stores/content/exclusions.ts';
import { findStoreUsers } from '../stores/capture/in-use.ts';

export interface Writer {
  readonly pid: number;
  /** The program's name, without arguments: they may hold secrets. */
  readonly command: string;
}

/** The processes that have the store open for writing, except the agent's own operations. */
export async function findWriters(store: string, exclude?: Exclusions): Promise<readonly Writer[]> {
  const users = await findStoreUsers(store, exclude);
  return users
    .filter(({ pid, mayWrite }) => mayWrite && !operationPids.has(pid))
    .map(({ pid, command }) => ({ pid, command: basename(command.split(' ')[0] ?? '') }));
}
