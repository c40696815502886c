import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Hosts } from './backups.ts';
import { isExcused } from './command.ts';
import { check, discard, restoreInPlace, runOn, storeOf } from './world.ts';
import type { Machine, World } from './world.ts';

/** Restores live snapshots beside, keeps the spare host in step, and verifies, until the time is over. */
export async function keepRestoring(world: World, hosts: Hosts, reader: Machine): Promise<void> {
  const { random, ledger } = world;
  while (performance.now() < world.endsAt) {
    await sleep(1000 + random() * 2000);
    const dice = random();
    if (ledger.newest === undefined) continue;
    if (dice < 0.55)
      await restoreBeside(world, reader, pick(ledger.live, random()), { isKilled: random() < 0.4 });
    else if (dice < 0.85) await hosts.spareTurn(() => refreshSpare(world, hosts));
    else await verify(world, reader, random() < 0.3);
  }
}

/** The newest in half of the cases. */
function pick(ids: readonly string[], chance: number): string {
  const index = chance < 0.5 ? ids.length - 1 : Math.floor((chance - 0.5) * 2 * ids.length);
  return ids[index] ?? '';
}

export async function restoreBeside(
  world: World,
  reader: Machine,
  id: string,
  { isKilled = false, isCalm = false }: { readonly isKilled?: boolean; readonly isCalm?: boolean } = {},
): Promise<void> {
  const { figures, ledger, scratch } = world;
  const { all } = await ledger.expect(id);
  const to = join(scratch, `copy-of-${id}`);
  const args = ['restore', '--to', to, '--snapshot', id];
  try {
    let ended = await runOn(world, reader, args, { isKilled, isCalm });
    const isInterrupted = ended.exitCode === null || (!isCalm && isExcused(ended.exitCode));
    // It appears complete or not at all.
    if (isInterrupted && !existsSync(to)) ended = await runOn(world, reader, args, { isCalm: true });
    else if (isInterrupted) figures.count('checked', 'copies that a killed restore left');
    if (existsSync(to)) await check(world, 'copies beside', to, all);
    else if (await ledger.isListed(id)) figures.find(`a live snapshot cannot be restored: ${ended.said}`);
    else figures.count('snapshots', 'rotated away before they were restored');
  } finally {
    await discard(to);
    await discard(join(scratch, `.copy-of-${id}.sync-agent`));
  }
}

async function refreshSpare(world: World, { spare }: Hosts): Promise<void> {
  const id = await restoreInPlace(world, spare);
  if (id === undefined) return;
  const { all } = await world.ledger.expect(id);
  await check(world, 'stores of the spare host', storeOf(spare), all);
}

export async function verify(world: World, reader: Machine, isAll: boolean, isCalm = false): Promise<void> {
  const { figures } = world;
  const args = ['verify', '--read-data', ...(isAll ? ['--all'] : [])];
  const { exitCode, said } = await runOn(world, reader, args, { isCalm });
  if (exitCode !== 0 && (isCalm || !isExcused(exitCode))) figures.find(`a verification failed: ${said}`);
}
