import type { Home } from '../home/home.ts';
import { residentMemory } from '../platform/memory/resident-memory.ts';
import { findStoreUsers } from '../stores/capture/in-use.ts';

/**
 * Resident memory of the other programs that have the store open, its server above all, bytes; as far as this user may see them. Null
 * if there are none, or where there is no `/proc` (proc_pid_status(5)).
 */
export async function memoryOfUsers({ store, exclude }: Home): Promise<number | null> {
  const users = await findStoreUsers(store, exclude);
  const sizes = await Promise.all(users.map(({ pid }) => residentMemory(pid)));
  const known = sizes.flatMap((bytes) => bytes ?? []);
  return known.length === 0 ? null : known.reduce((sum, bytes) => sum + bytes, 0);
}
