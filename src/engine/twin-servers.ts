import type { StoreUser } from '../stores/capture/in-use.ts';
import type { StoreAdapter } from '../stores/adapter.ts';
import type { Context } from './context.ts';

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

/** No capture helps against what two servers do to a store that is made for one. A backup is better than none. */
export function warnOfTwins(
  { emit }: Context,
  { remedyForTwoServers: remedy }: StoreAdapter,
  users: readonly StoreUser[],
): void {
  if (remedy === undefined) return;
  const message = describeTwins(users);
  if (message !== undefined) emit({ type: 'warning', code: 'BUSY', message, remedy });
}
