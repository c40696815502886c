import { fromFileSystem, throwIfAborted } from '../../platform/errors.ts';
import { scanStore } from '../content/scan.ts';
import type { InspectOptions, StoreReport } from '../adapter.ts';

/** A plain directory: its files mean nothing to us, so nothing can be wrong with them. */
export async function inspectFiles(dir: string, { signal, exclude }: InspectOptions): Promise<StoreReport> {
  throwIfAborted(signal, `Inspecting "${dir}"`);
  const { files } = await scanStore(dir, exclude).catch((error: unknown) => {
    throw fromFileSystem(error, `Cannot inspect "${dir}"`);
  });
  return { damage: [], findings: [], statistics: { records: files.length } };
}
