import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storeExists } from '../../../home/home.ts';
import { newAttempt } from '../../context.ts';
import { knownParent } from '../../known-manifests.ts';
import { inspectAsItLies } from '../../soundness/judge-store.ts';
import { describeUsers } from '../../twin-servers.ts';
import type { Check, Finding } from '../check.ts';

/** What the store is and, when nobody has it open, whether it is sound. */
export const storeCheck: Check = {
  name: 'store',
  find: async (context) => {
    const { home, findStoreUsers } = context;
    if (!(await storeExists(home))) {
      const remedy = 'Check --store, or run "sync-agent restore"';
      return [{ status: 'warn', detail: `there is nothing at "${home.store}"`, remedy }];
    }
    const { name } = await context.detectAdapter(home.store);
    const users = await findStoreUsers(home.store);
    if (users.length > 0) {
      const detail = `${name}, in use by ${describeUsers(users)}: not inspected`;
      const remedy = '"sync-agent backup --dry-run --force" captures and checks it while it is in use';
      return [{ status: 'ok', detail, remedy }];
    }
    const { adapter, records, damage, findings } = await inspectAsItLies(context, home.store, {
      parent: await knownParent(context),
      level: context.settings.validation,
      // Staging belongs to who has the lock.
      scratch: join(tmpdir(), `sync-agent-${newAttempt()}`),
    });
    const told = findings.map(({ message, remedy }): Finding => ({
      status: 'warn',
      detail: message,
      ...(remedy === undefined ? {} : { remedy }),
    }));
    const remedy = '"sync-agent restore --force" brings the newest snapshot back';
    const failures = damage.map(({ message }): Finding => ({
      status: 'fail',
      code: 'STORE_CORRUPT',
      detail: message,
      remedy,
    }));
    const sound: Finding = { status: 'ok', detail: `${adapter}, sound, ${records} records` };
    return failures.length === 0 ? [sound, ...told] : [...failures, ...told];
  },
};
