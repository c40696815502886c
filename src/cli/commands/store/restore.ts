import { SyncAgentError, exitCodes } from '../../../platform/errors.ts';
import type { AsideOptions } from '../../../engine/restore/restore-to.ts';
import { parseDuration } from '../../../settings/units.ts';
import { locateHome, storeExists } from '../../../home/home.ts';
import { counted, formatBytes } from '../../../report/format.ts';
import { confirmReplacement, mustAsk } from '../../confirm-replacement.ts';
import type { Command, Invocation, Outcome } from '../command.ts';
import { snapshotNames } from '../../text/snapshot-text.ts';
import { restoreLines, restoredToLines } from '../../text/restore-lines.ts';
import { assertNoCollectionFlags, collectionOptions, restoreCollection } from '../restore-collection.ts';
import { mayStartUnrestored, startOptions } from '../may-start-unrestored.ts';

export const restoreCommand: Command = {
  name: 'restore',
  describe: 'Replace the store by the newest snapshot, or by a named one',
  isQuery: false,
  options: {
    snapshot: { type: 'string', describe: `Snapshot: ${snapshotNames}` },
    at: {
      type: 'string',
      describe:
        'Moment to go back to, with --continuous: 2026-11-28T14:03:10Z, how long ago such as 10m, or now',
    },
    to: { type: 'string', describe: 'New directory to restore into; the store is not touched' },
    'skip-backup': { type: 'boolean', describe: 'Keep no rollback copy of the replaced store' },
    force: { type: 'boolean', describe: 'Restore even if the store is newer, diverged or in use' },
    'dry-run': { type: 'boolean', describe: 'Show what would be done' },
    yes: { type: 'boolean', describe: 'Do not ask on a terminal before a store is replaced' },
    ...collectionOptions,
    ...startOptions,
  },
  run: async (invocation) => {
    const { flags } = invocation;
    if (flags.text('collection') !== undefined) return restoreCollection(invocation);
    assertNoCollectionFlags(flags);
    const onError = flags.choice('on-error', ['fail', 'continue']);
    const snapshot = flags.text('snapshot');
    const wanted = {
      ...(snapshot === undefined ? {} : { snapshot }),
      ...momentOf(flags.text('at'), Date.now()),
    };
    const to = flags.text('to');
    if (to !== undefined) return restoreInto(invocation, to, wanted);
    try {
      await waitForHandOver(invocation, onError);
      return await restoreInPlace(invocation, wanted, onError);
    } catch (error) {
      const { agent, config, signal } = invocation;
      const { store = '', exclude } = config;
      if (!(await mayStartUnrestored(error, { store, exclude, onError, agent, signal }))) throw error;
      const { code, message, remedy = null } = error as SyncAgentError;
      invocation.say(`${invocation.style.red('WARNING:')} ${message}`);
      invocation.say(
        'WARNING: Nothing was restored. Going on with what is on this disk, which may be old (--on-error)',
      );
      return { result: { type: 'skipped', error: { code, message, remedy } }, lines: [] };
    }
  },
};

/** A point in time, or how long ago. */
function momentOf(text: string | undefined, nowMs: number): { readonly atMs?: number } {
  if (text === undefined) return {};
  const agoMs = text === 'now' ? 0 : parseDuration(text);
  const isDate = /^[0-9]{4}-[0-9]{2}-[0-9]{2}/.test(text);
  const atMs = agoMs === undefined ? (isDate ? Date.parse(text) : NaN) : nowMs - agoMs;
  if (!Number.isNaN(atMs)) return { atMs };
  throw new SyncAgentError(
    'USAGE',
    `Cannot use --at = ${JSON.stringify(text)}: expected a time such as 2026-11-28T14:03:10Z, a duration such as 10m, or now`,
  );
}

async function waitForHandOver(
  { agent, flags, signal }: Invocation,
  onError: 'fail' | 'continue' | undefined,
): Promise<void> {
  const waitMs = flags.duration('wait-for-lease');
  if (waitMs === undefined) return;
  await agent.waitForLease({ waitMs, onTimeout: onError ?? 'continue', signal });
}

async function restoreInPlace(
  invocation: Invocation,
  wanted: AsideOptions,
  onError: 'fail' | 'continue' | undefined,
): Promise<Outcome> {
  const { agent, config, flags, signal, style, say, commandLine } = invocation;
  const options = {
    ...wanted,
    skipBackup: flags.has('skip-backup'),
    force: flags.has('force'),
    dryRun: flags.has('dry-run'),
    signal,
  };
  await askBefore(invocation, options);
  const result = await agent.restore(options);
  const home = await locateHome(config.store ?? '');
  const isDiverged = result.type === 'diverged';
  if (isDiverged && onError === 'continue') {
    say(
      `${style.red('WARNING:')} The store and the remote have diverged. Going on with the store as it is (--on-error continue)`,
    );
  }
  return {
    result: { ...result, store: home.store },
    lines: restoreLines(result, { home, style, commandLine, now: Date.now() }),
    exitCode: isDiverged && onError !== 'continue' ? exitCodes.DIVERGED : 0,
  };
}

/**
 * Asks a person before a store is replaced that was not said to be in a snapshot. A plain restore loses nothing, and runs by itself before
 * each start: it asks nobody.
 */
async function askBefore(
  invocation: Invocation,
  options: NonNullable<Parameters<Invocation['agent']['restore']>[0]>,
): Promise<void> {
  const { agent, config, flags } = invocation;
  const { snapshot, atMs, force, dryRun, skipBackup = false } = options;
  const isChosen = snapshot !== undefined || atMs !== undefined || force === true;
  if (dryRun === true || !isChosen || !mustAsk(flags)) return;
  if (!(await storeExists(await locateHome(config.store ?? '')))) return;
  const plan = await agent.restore({ ...options, dryRun: true });
  if (plan.type !== 'planned') return;
  await confirmReplacement(
    invocation,
    `snapshot ${plan.id} (${formatBytes(plan.bytes)} in ${counted(plan.files, 'file')})`,
    { isKept: !skipBackup },
  );
}

async function restoreInto(
  { agent, flags, signal, style }: Invocation,
  dir: string,
  wanted: AsideOptions,
): Promise<Outcome> {
  for (const name of ['skip-backup', 'force', 'dry-run', 'wait-for-lease', 'on-error']) {
    if (!flags.has(name) && flags.text(name) === undefined) continue;
    throw new SyncAgentError(
      'USAGE',
      `Cannot use --${name} with --to: it is about the store, which --to does not touch`,
    );
  }
  const result = await agent.restoreTo(dir, { ...wanted, signal });
  return { result, lines: restoredToLines(result, style) };
}
