import { describeTwins } from '../../twin-servers.ts';
import type { Check } from '../check.ts';

/** Whether several processes of one program have a store open that is made for one. */
export const serversCheck: Check = {
  name: 'servers',
  find: async ({ home, detectAdapter, findStoreUsers }) => {
    const users = await findStoreUsers(home.store);
    const twins = describeTwins(users);
    if (twins === undefined) {
      const detail =
        users.length === 0 ? 'no process has the store open' : `${users.length} has the store open`;
      return [{ status: 'ok', detail }];
    }
    const { remedyForTwoServers: remedy } = await detectAdapter(home.store);
    if (remedy === undefined) return [{ status: 'ok', detail: twins }];
    return [{ status: 'fail', code: 'BUSY', detail: twins, remedy }];
  },
};
