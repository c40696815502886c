import { memberTexts } from '../../../platform/json/json-slices.ts';
import type { CollectionDescription } from '../../record-source.ts';

/**
 * The request that makes a collection like another one. Servers refuse a configuration beside a schema, so the fuller one goes: the schema
 * (1.3 and later), else the configuration. What servers before 1.0 called configuration is unknown to those of today; what counts
 * there is the metadata (`hnsw:space`), which they still understand.
 */
export function creationText(name: string, like: CollectionDescription | undefined): string {
  const metadata = like?.metadata ?? null;
  const members = [`"name":${JSON.stringify(name)}`, '"get_or_create":false'];
  if (metadata !== null) members.push(`"metadata":${metadata}`);
  if (like?.schema != null) members.push(`"schema":${like.schema}`);
  else {
    const configuration = configurationOf(like);
    if (configuration !== undefined) members.push(`"configuration":${configuration}`);
  }
  return `{${members.join(',')}}`;
}

function configurationOf(like: CollectionDescription | undefined): string | undefined {
  const given = memberTexts(like?.configuration ?? '') ?? new Map<string, string>();
  const known = ['hnsw', 'embedding_function'].flatMap((key) => {
    const text = given.get(key);
    return text === undefined || text === 'null' ? [] : [`${JSON.stringify(key)}:${text}`];
  });
  if (known.length > 0) return `{${known.join(',')}}`;
  const isSaidByMetadata = memberTexts(like?.metadata ?? '')?.has('hnsw:space') === true;
  if (like === undefined || isSaidByMetadata || like.space === null || like.space === 'l2') return undefined;
  return JSON.stringify({ hnsw: { space: like.space } });
}
