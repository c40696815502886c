import type { Config } from '../../settings/load.ts';
import { formatRemote, parseRemote } from '../../remotes/remote-url.ts';
import { storeIdentity } from '../../stores/content/fingerprint.ts';
import { locateHome } from '../../home/home.ts';
import { readState } from '../../home/state.ts';

/** The snapshot that the local store was last equal to, as far as this host wrote it down; costs no request. */
export async function localParent(config: Config): Promise<string | undefined> {
  const home = await locateHome(config.store ?? '');
  const state = await readState(home);
  if (state === undefined || state.identity !== (await storeIdentity(home.store))) return undefined;
  return state.remotes[formatRemote(parseRemote(config.remote ?? ''))]?.parent?.id;
}
