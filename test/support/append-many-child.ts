/** Writes lines to the operation log of a home, beside others that do the same. */
import { appendToLog } from '../../src/home/operations/segments.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';

const [dir = '', name = '', count = '0'] = process.argv.slice(2);
const home = { store: `${dir}/store`, dir, swap: 'rename' } as const;
for (let number = 0; number < Number(count); number += 1)
  await appendToLog(
    { ...nodeFileSystem, sync: async () => undefined },
    home,
    JSON.stringify({ name, number, text: 'x'.repeat(3000) }),
  );
