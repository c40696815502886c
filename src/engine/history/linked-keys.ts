import { readEntry } from '../../log/commit-log.ts';
import type { LogView } from '../../log/commit-log.ts';
import { historyKey } from '../../log/layout.ts';
import type { Manifest } from '../../log/manifest.ts';
import type { Context } from '../context.ts';

/** Objects of other snapshots' directories that live snapshots name. Costs a read for each that does so at all. */
export async function linkedKeys(context: Context, view: LogView): Promise<ReadonlySet<string>> {
  const keys = new Set<string>();
  const note = (manifest: Manifest): void => {
    for (const file of manifest.files) if (file.in !== undefined) keys.add(historyKey(file.in, file.path));
  };
  if (view.head !== undefined) note(view.head);
  for (const entry of view.head?.log ?? []) {
    if (entry.linked === true) note(await readEntry(context.remote, entry, { signal: context.signal }));
  }
  return keys;
}
