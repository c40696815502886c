import type { Agent } from '../../api/agent.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import type { Exclusions } from '../../stores/content/exclusions.ts';
import { locateHome, storeExists } from '../../home/home.ts';
import { readJournal } from '../../home/journal.ts';
import type { Command } from './command.ts';

/** The flags of `restore` and `run`, which both restore before an application starts. */
export const startOptions = {
  'wait-for-lease': {
    type: 'string',
    describe: 'Longest wait for the last backup of the lease holder, such as 60s',
  },
  'on-error': {
    type: 'string',
    describe:
      'If the remote is out of reach or --wait-for-lease runs out: fail or continue ' +
      '[default: continue, but fail without both remote and store]',
  },
} as const satisfies Command['options'];

export interface StartOptions {
  readonly store: string;
  readonly exclude?: Exclusions | undefined;
  readonly onError: 'fail' | 'continue' | undefined;
  readonly agent: Pick<Agent, 'assertSound'>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Whether an application may start although its restore failed with `error`. It may only if the remote was out of reach:
 * no answer, no access, or no such bucket; not if this host's own disk denied something. By default a complete local
 * store is needed; with `continue` none is. A store that an interrupted restore left incomplete is never started.
 * Rejects with STORE_CORRUPT for a damaged store.
 */
export async function mayStartUnrestored(
  error: unknown,
  { store, exclude, onError, agent, signal }: StartOptions,
): Promise<boolean> {
  if (onError === 'fail' || !isSyncAgentError(error) || !error.outOfReach) return false;
  const home = { ...(await locateHome(store)), exclude };
  // A journal that cannot be read rejects, and so nothing starts.
  if ((await readJournal(home)) !== undefined) return false;
  if (!(await storeExists(home))) return onError === 'continue';
  await agent.assertSound({ signal });
  return true;
}
