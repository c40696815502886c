import { isSyncAgentError } from '../errors.ts';
import type { Exclusions } from '../store/exclusions.ts';
import { locateHome, storeExists } from '../store/home.ts';
import { readJournal } from '../store/journal.ts';

/**
 * Whether an application may start although its restore failed. Only when the remote was out of reach: it does not
 * answer, does not let us in, or has no such bucket; not when this host's own disk denied something. Left to itself,
 * when there is a complete local store; `continue` also starts without any. A store that an interrupted restore left
 * incomplete is never started.
 */
export async function mayContinue(
  error: unknown,
  {
    store,
    exclude,
    onError,
  }: {
    readonly store: string;
    readonly exclude?: Exclusions | undefined;
    readonly onError: 'fail' | 'continue' | undefined;
  },
): Promise<boolean> {
  if (onError === 'fail' || !isSyncAgentError(error) || !error.outOfReach) return false;
  const home = { ...(await locateHome(store)), exclude };
  // A journal that cannot be read rejects, which is a failure as well.
  if ((await readJournal(home)) !== undefined) return false;
  return onError === 'continue' || storeExists(home);
}
