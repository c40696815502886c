import type { Agent } from '../../in-process/agent.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import type { Exclusions } from '../../stores/content/exclusions.ts';
import { locateHome, storeExists } from '../../home/home.ts';
import { readJournal } from '../../home/journal.ts';

export interface MayContinueOptions {
  readonly store: string;
  readonly exclude?: Exclusions | undefined;
  readonly onError: 'fail' | 'continue' | undefined;
  readonly agent: Pick<Agent, 'assertSound'>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Whether an application may start although its restore failed. Only when the remote was out of reach: it does not
 * answer, does not let us in, or has no such bucket; not when this host's own disk denied something. Left to itself,
 * when there is a complete local store; `continue` also starts without any. A store that an interrupted restore left
 * incomplete is never started, and for a damaged one this rejects with STORE_CORRUPT.
 */
export async function mayContinue(
  error: unknown,
  { store, exclude, onError, agent, signal }: MayContinueOptions,
): Promise<boolean> {
  if (onError === 'fail' || !isSyncAgentError(error) || !error.outOfReach) return false;
  const home = { ...(await locateHome(store)), exclude };
  // A journal that cannot be read rejects, which is a failure as well.
  if ((await readJournal(home)) !== undefined) return false;
  if (!(await storeExists(home))) return onError === 'continue';
  await agent.assertSound({ signal });
  return true;
}
