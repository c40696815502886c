import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { checkRestored, describeFindings } from '../../test/support/oracle.ts';
import type { Expectation } from '../../test/support/busy-writer.ts';
import type { Channel } from './channel.ts';
import { isExcused, runCommand } from './command.ts';
import type { Ended, RunOptions, Runner } from './command.ts';
import type { Ledger } from './ledger.ts';

/** A host with a disk of its own, and a way of its own to the remote. */
export interface Machine {
  readonly name: string;
  /** Holds the store and what the agent keeps beside it. */
  readonly disk: string;
  readonly channel: Channel;
}

export interface World extends Runner {
  readonly remote: string;
  readonly ledger: Ledger;
  /** Flags of everything that commits. */
  readonly policy: readonly string[];
  /** When to begin nothing new, of `performance.now()`. */
  readonly endsAt: number;
  /** A directory for copies. */
  readonly scratch: string;
}

export const storeOf = ({ disk }: Machine): string => join(disk, 'store');

/** Runs a command on a machine. */
export function runOn(
  world: World,
  machine: Machine,
  args: readonly string[],
  options: Pick<RunOptions, 'isKilled' | 'isCalm'> = {},
): Promise<Ended> {
  const { name: host, channel } = machine;
  return runCommand(world, args, {
    store: storeOf(machine),
    remote: world.remote,
    host,
    channel,
    ...options,
  });
}

/**
 * What an application does before it starts: restores the newest snapshot, and again until that succeeds; the first
 * time among faults and perhaps killed. Resolves to the snapshot's id, undefined after a finding.
 */
export async function restoreInPlace(
  world: World,
  machine: Machine,
  { isForced = false }: { readonly isForced?: boolean } = {},
): Promise<string | undefined> {
  const { figures, random } = world;
  const args = ['restore', ...(isForced ? ['--force'] : [])];
  const first = await runOn(world, machine, args, { isKilled: random() < 0.4 });
  if (isDone(first)) return idOf(world, first);
  const isExplained = first.exitCode === null || first.exitCode === 0 || isExcused(first.exitCode);
  if (!isExplained && first.exitCode !== 4) {
    figures.find(`a restore among faults failed: ${first.said}`);
    return undefined;
  }
  const second = await runOn(world, machine, args, { isCalm: true });
  if (isDone(second)) return idOf(world, second);
  const type = String(second.result['type']);
  if ((type === 'diverged' || type === 'ahead') && !isForced) {
    // It had written after its last backup when it died: a person decides.
    figures.count('unsaved writes after a failover', `${type}, decided by --force`);
    return restoreInPlace(world, machine, { isForced: true });
  }
  figures.find(`a restore without faults failed: ${second.said}`);
  return undefined;
}

/** Not `skipped`, which is what it does with an old store while the remote is out of reach. */
const isDone = ({ exitCode, result }: Ended): boolean =>
  exitCode === 0 && (result['type'] === 'restored' || result['type'] === 'equal');

function idOf({ figures }: World, { result, said }: Ended): string {
  const { skipped } = result;
  if (Array.isArray(skipped) && skipped.length > 0) figures.find(`a restore passed snapshots over: ${said}`);
  return String(result['id']);
}

/** Opens a copy with a new server and compares it with what was acknowledged. */
export async function check(
  world: World,
  what: string,
  store: string,
  expectation: Expectation,
): Promise<void> {
  const { figures } = world;
  const started = performance.now();
  const findings = await checkRestored(store, expectation);
  figures.time('check by the oracle', performance.now() - started);
  let records = 0;
  for (const collection of expectation.records.values()) records += collection.size;
  figures.count('checked', what);
  figures.count('checked', 'records compared', records);
  if (findings.length > 0) figures.find(`${what} "${store}": ${describeFindings(findings)}`);
}

export async function discard(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}
