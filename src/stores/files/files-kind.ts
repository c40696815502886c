import { fromFileSystem, throwIfAborted } from '../../platform/errors.ts';
import { scanStore } from '../content/scan.ts';
import type { StoreKind } from '../store-kind.ts';

/** A plain directory: its files mean nothing to us, so nothing can be wrong with them. Each counts as a record. */
export const filesKind = {
  name: 'files',
  detect: async () => true,
  inspect: async (dir, { signal, exclude }) => {
    throwIfAborted(signal, `Inspecting "${dir}"`);
    const { files } = await scanStore(dir, exclude).catch((error: unknown) => {
      throw fromFileSystem(error, `Cannot inspect "${dir}"`);
    });
    return { damage: [], findings: [], statistics: { records: files.length } };
  },
  habits: { directories: ['data'] },
} as const satisfies StoreKind;
