import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { elementTexts, memberTexts } from '../../platform/json/json-slices.ts';
import { SyncAgentError, errnoOf } from '../../platform/errors.ts';
import type { CollectionDescription } from '../../stores/record-source.ts';

export const collectionsFileName = 'collections.json';
export const lossesFileName = 'losses.jsonl';
const formatName = 'sync-agent-records/1';

/** A collection in `collections.json`. */
export interface ExportedCollection extends CollectionDescription {
  /** Beside `collections.json`. */
  readonly file: string;
  readonly records: number;
}

const schema = z.object({
  format: z.string(),
  collections: z.array(
    z.object({
      file: z.string(),
      records: z.int().nonnegative(),
      id: z.string(),
      name: z.string(),
      tenant: z.string(),
      database: z.string(),
      dimension: z.int().nonnegative().nullable(),
      space: z.string().nullable(),
      metadata: z.unknown(),
      configuration: z.unknown(),
      schema: z.unknown(),
    }),
  ),
});

const jsonParts = ['metadata', 'configuration', 'schema'] as const;

/** The text of `collections.json`. Metadata, configuration and schema go in as they are. */
export function collectionsText(source: string, collections: readonly ExportedCollection[]): string {
  const texts = collections.map((each) => {
    const { file, records, id, name, tenant, database, dimension, space } = each;
    const plain = { file, records, id, name, tenant, database, dimension, space };
    const members = [
      ...Object.entries(plain).map(
        ([key, value]) => `      ${JSON.stringify(key)}: ${JSON.stringify(value)}`,
      ),
      ...jsonParts.map((key) => `      ${JSON.stringify(key)}: ${each[key] ?? 'null'}`),
    ];
    return `    {\n${members.join(',\n')}\n    }`;
  });
  const list = texts.length === 0 ? '[]' : `[\n${texts.join(',\n')}\n  ]`;
  return `{\n  "format": ${JSON.stringify(formatName)},\n  "source": ${JSON.stringify(source)},\n  "collections": ${list}\n}\n`;
}

/** Undefined if there is no such file. USAGE if it is none of ours, TOO_NEW if it is a later one. */
export async function readCollectionsFile(path: string): Promise<readonly ExportedCollection[] | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SyncAgentError('USAGE', `Cannot read "${path}": it is no JSON`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw new SyncAgentError('USAGE', `Cannot read "${path}": ${z.prettifyError(parsed.error)}`);
  if (parsed.data.format !== formatName) {
    throw new SyncAgentError('TOO_NEW', `Cannot read "${path}": its format is "${parsed.data.format}"`, {
      remedy: 'Install the newest sync-agent on this host',
    });
  }
  const texts = elementTexts(memberTexts(text)?.get('collections') ?? '') ?? [];
  return parsed.data.collections.map((each, index) => {
    const members = memberTexts(texts[index] ?? '');
    const part = (name: string): string | null => {
      const found = members?.get(name);
      return found === undefined || found === 'null' ? null : found;
    };
    return {
      ...each,
      metadata: part('metadata'),
      configuration: part('configuration'),
      schema: part('schema'),
    };
  });
}

/** A file name for each collection: its name, and more where that alone is no good name. */
export function fileNames(
  collections: readonly CollectionDescription[],
  ending: string,
): ReadonlyMap<CollectionDescription, string> {
  const taken = new Set<string>();
  const names = new Map<CollectionDescription, string>();
  for (const each of collections) {
    const plain = each.name
      .replaceAll(/[^\w.-]/g, '_')
      .replace(/^\./, '_')
      .slice(0, 150);
    let name = `${plain}${ending}`;
    // File systems that know no case must not see two equal names.
    for (let n = 2; taken.has(name.toLowerCase()) || reserved.has(name); n++) name = `${plain}-${n}${ending}`;
    taken.add(name.toLowerCase());
    names.set(each, name);
  }
  return names;
}

const reserved: ReadonlySet<string> = new Set([lossesFileName, `${lossesFileName}.gz`]);
