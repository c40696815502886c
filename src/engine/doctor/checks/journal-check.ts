import { describeJournal } from '../../status.ts';
import type { Check } from '../check.ts';

/** Whether a restore was interrupted. */
export const journalCheck: Check = {
  name: 'journal',
  find: async (context) => {
    const journal = await describeJournal(context);
    if (journal === undefined) return [{ status: 'ok', detail: 'no restore was interrupted' }];
    const { isIncomplete, text: detail } = journal;
    if (!isIncomplete) return [{ status: 'warn', detail }];
    const remedy = 'Run "sync-agent restore"; do not start the application before';
    return [{ status: 'fail', code: 'STORE_CORRUPT', detail, remedy }];
  },
};
