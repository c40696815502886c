import { join } from 'node:path';
import { fromFileSystem } from '../../../platform/errors.ts';
import { writeNewFile } from '../../../platform/file-system.ts';
import { failedWith } from '../check.ts';
import type { Check } from '../check.ts';

/** Whether lock, state and staging can be written where they belong. */
export const homeCheck: Check = {
  name: 'home',
  find: async ({ home, fs, clock }) => {
    // A directory beside the home, not in it: making the home itself would leave a trace.
    const probe = `${home.dir}.doctor-${clock.randomHex(4)}`;
    try {
      await fs.makeDirectory(probe);
      try {
        await writeNewFile(fs, join(probe, 'probe'), 'probe');
      } finally {
        await fs.remove(probe);
      }
      return [{ status: 'ok', detail: `"${home.dir}" can be written` }];
    } catch (error) {
      const failure = failedWith(fromFileSystem(error, `Cannot write where "${home.dir}" belongs`));
      const remedy = 'Let this user write there: lock, state, staging and rollback copies live in it';
      return [{ ...failure, remedy }];
    }
  },
};
