import type { StoreUser } from '../../stores/in-use.ts';
import type { StoreAdapter } from '../../stores/adapter.ts';
import type { Context } from '../context.ts';

export const stopAllButOne = 'Stop all but one: two servers on one directory lose vectors';

/** The processes of one program that have one store open; undefined when none has company. */
export function describeTwins(users: readonly StoreUser[]): string | undefined {
  const byProgram = new Map<string, StoreUser[]>();
  for (const user of users) {
    const program = user.executable ?? user.command;
    byProgram.set(program, [...(byProgram.get(program) ?? []), user]);
  }
  const twins = [...byProgram.values()].find((group) => group.length > 1);
  if (twins === undefined) return undefined;
  return `${twins.length} processes of one program have the store open: ${describeUsers(twins)}`;
}

export function describeUsers(users: readonly StoreUser[]): string {
  return users.map(({ pid, command }) => `pid ${pid} (${command.slice(0, 80)})`).join(', ');
}

/** No capture of a Chroma directory is good for what two servers do to it; one is better than none. */
export function warnOfTwins(
  { emit }: Context,
  adapter: StoreAdapter['name'],
  users: readonly StoreUser[],
): void {
  if (adapter !== 'chroma') return;
  const detail = describeTwins(users);
  if (detail !== undefined) emit({ type: 'warning', code: 'BUSY', message: detail, remedy: stopAllButOne });
}
