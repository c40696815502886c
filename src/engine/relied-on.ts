import type { Content } from '../formats/content-format.ts';
import { readEntry } from '../log/commit-log.ts';
import type { LogView } from '../log/commit-log.ts';
import { historyDirectory, snapshotOfKey } from '../log/layout.ts';
import type { Context } from './context.ts';

/** Sizes of objects that are in the remote, by key. */
export type FoundObjects = ReadonlyMap<string, number>;

/**
 * Lists the directories that have the content of some snapshots, each once. A listing tells sizes, not hashes; `verify
 * --read-data` compares those.
 */
export async function findObjects(context: Context, contents: readonly Content[]): Promise<FoundObjects> {
  const { remote, formats, signal } = context;
  const owners = new Set<string>();
  for (const content of contents) {
    for (const { key } of formats.of(content).reliedOn(content)) owners.add(snapshotOfKey(key) ?? content.id);
  }
  const found = new Map<string, number>();
  for (const owner of owners) {
    for await (const page of remote.list(historyDirectory(owner), { signal })) {
      for (const { key, size } of page.objects) found.set(key, size);
    }
  }
  return found;
}

export interface BrokenObject {
  readonly key: string;
  /** A file that needs it. */
  readonly path: string;
  /** A sentence. */
  readonly problem: string;
}

/** The objects of a snapshot that are missing or have another size, for each file that needs one. */
export function brokenObjects(
  { formats }: Pick<Context, 'formats'>,
  content: Content,
  found: FoundObjects,
): readonly BrokenObject[] {
  return formats
    .of(content)
    .reliedOn(content)
    .flatMap(({ key, size, path }) => {
      const present = found.get(key);
      if (present === size) return [];
      const problem =
        present === undefined
          ? `object "${key}" is missing`
          : `object "${key}" has ${present} bytes, expected ${size}`;
      return [{ key, path, problem }];
    });
}

/** The same, each object once, as sentences. */
export function problemsOf(
  context: Pick<Context, 'formats'>,
  content: Content,
  found: FoundObjects,
): readonly string[] {
  return [...new Set(brokenObjects(context, content, found).map(({ problem }) => problem))];
}

/**
 * Keys of the objects that live snapshots have in the directories of others, which may not be live any more. Costs a read
 * for each snapshot that has any.
 */
export async function keysReliedOn(context: Context, view: LogView): Promise<ReadonlySet<string>> {
  const { formats, signal } = context;
  const keys = new Set<string>();
  const note = (content: Content): void => {
    for (const { key } of formats.of(content).reliedOn(content))
      if (snapshotOfKey(key) !== content.id) keys.add(key);
  };
  if (view.head !== undefined) note(view.head);
  for (const entry of view.head?.log ?? []) {
    if (entry.linked === true) note(await readEntry(context, entry, { signal }));
  }
  return keys;
}
