import { setTimeout as sleep } from 'node:timers/promises';
import type { LimitFunction } from 'p-limit';
import { isExcused } from './command.ts';
import type { Attempt } from './ledger.ts';
import { startLife } from './life.ts';
import type { Life } from './life.ts';
import { check, discard, restoreInPlace, runOn, storeOf } from './world.ts';
import type { Machine, World } from './world.ts';

export interface Hosts {
  active: Machine;
  spare: Machine;
  /** Work on the spare's disk, one thing at a time. */
  readonly spareTurn: LimitFunction;
}

const lifeMs = [45_000, 90_000] as const;
const pauseMs = [500, 3000] as const;

/**
 * Backs the active host's store up every few seconds, some of the backups killed, and prunes now and then; again and
 * again a disaster takes the disk, or the other host takes over, and the store goes on from what was restored.
 */
export async function keepBackingUp(world: World, hosts: Hosts, seed: number): Promise<Life> {
  const { random, figures, ledger } = world;
  const between = ([from, to]: readonly [number, number]): number => from + random() * (to - from);
  const lives: Life[] = [];
  let life = await startLife({ number: 1, store: storeOf(hosts.active), seed, figures });
  for (;;) {
    lives.push(life);
    const diesAt = performance.now() + between(lifeMs);
    let isFirst = true;
    while (performance.now() < Math.min(diesAt, world.endsAt)) {
      await sleep(between(pauseMs));
      const isKilled = random() < 0.4;
      if (isFirst || random() < 0.9) {
        const hasCommitted = await backUp(world, hosts.active, life, { isKilled, isFirst });
        if (hasCommitted) isFirst = false;
      } else await prune(world, hosts.active, life, isKilled);
    }
    if (performance.now() >= world.endsAt) return life;
    await life.die();
    for (const old of lives.slice(0, -2)) if (!ledger.needs(old)) await old.forget();
    life = await goOn(world, hosts, life, seed);
  }
}

/** True when it committed. */
export async function backUp(
  world: World,
  machine: Machine,
  life: Life,
  options: { readonly isKilled?: boolean; readonly isFirst?: boolean; readonly isCalm?: boolean } = {},
): Promise<boolean> {
  const { figures, ledger, policy } = world;
  const attempt: Attempt = { life, from: await life.checkpoint(), to: undefined };
  // A life begins by dropping what the last but one wrote.
  const flags = options.isFirst === true ? ['--allow-shrink'] : [];
  const ended = await runOn(world, machine, ['backup', ...policy, ...flags], options);
  attempt.to = await life.checkpoint();
  const added = await ledger.observe(attempt);
  figures.count('snapshots', 'made', added.length);
  const { exitCode, result, said } = ended;
  if (exitCode === 0) {
    if (result['type'] !== 'committed') figures.find(`a backup of a busy store did not commit: ${said}`);
    else if (!added.includes(String(result['id'])))
      figures.find(`a committed snapshot is not listed: ${said}`);
    const { longestHoldMs } = result;
    if (typeof longestHoldMs === 'number') figures.time('writers held back', longestHoldMs);
    return true;
  }
  if (exitCode === null) figures.count('snapshots', 'committed by a backup that was killed', added.length);
  else if (options.isCalm === true || !isExcused(exitCode)) figures.find(`a backup failed: ${said}`);
  return added.length > 0;
}

async function prune(world: World, machine: Machine, life: Life, isKilled: boolean): Promise<void> {
  const { figures, ledger, policy } = world;
  const attempt: Attempt = { life, from: await life.checkpoint(), to: await life.checkpoint() };
  const { exitCode, said } = await runOn(world, machine, ['prune', ...policy], { isKilled });
  const added = await ledger.observe(attempt);
  if (added.length > 0) figures.find(`a prune made a snapshot: ${said}`);
  if (exitCode !== null && exitCode !== 0 && !isExcused(exitCode)) figures.find(`a prune failed: ${said}`);
}

/** After a disaster: the same host with an empty disk, or the other one with what is on its own. */
async function goOn(world: World, hosts: Hosts, last: Life, seed: number): Promise<Life> {
  const { figures, ledger, random } = world;
  if (random() < 0.5) {
    figures.count('disasters', 'disk lost');
    await discard(hosts.active.disk);
  } else {
    figures.count('disasters', 'the other host takes over');
    await hosts.spareTurn(async () => {
      [hosts.active, hosts.spare] = [hosts.spare, hosts.active];
    });
  }
  const store = storeOf(hosts.active);
  const { newest } = ledger;
  const id = await restoreInPlace(world, hosts.active);
  if (id === undefined || newest === undefined) throw new Error('There is nothing to go on with');
  if (id !== newest) figures.find(`a restore gave ${id}, the newest was ${newest}`);
  const restored = await ledger.expect(id);
  await check(world, 'stores restored in place', store, restored.all);
  return startLife({ number: last.number + 1, store, seed, figures, restored });
}
