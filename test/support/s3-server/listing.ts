import { toXml, type XmlNode } from './xml.ts';
import type { Bucket } from './state.ts';

/** ListObjectsV2. The continuation token is the last key or common prefix of the page before. */
export function listObjects(name: string, bucket: Bucket, query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const limit = Math.min(1000, Number(query.get('max-keys') ?? 1000));
  const token = query.get('continuation-token');
  const marker =
    token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64url').toString();
  const encoded = query.get('encoding-type') === 'url';
  const show = (text: string): string => (encoded ? encodeKey(text) : text);

  const contents: XmlNode[] = [];
  const prefixes: XmlNode[] = [];
  let last = marker;
  let truncated = false;
  for (const key of sortedKeys(bucket)) {
    if (!key.startsWith(prefix) || compare(key, marker) <= 0) continue;
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const common = cut === -1 ? undefined : key.slice(0, cut + delimiter.length);
    if (common !== undefined && (common === last || (token !== null && common === marker))) continue;
    if (contents.length + prefixes.length === limit) {
      truncated = true;
      break;
    }
    last = common ?? key;
    const object = bucket.objects.get(key);
    if (common !== undefined) prefixes.push(['CommonPrefixes', [['Prefix', show(common)]]]);
    else if (object !== undefined) {
      contents.push([
        'Contents',
        [
          ['Key', show(key)],
          ['LastModified', object.lastModified.toISOString()],
          ['ETag', `"${object.etag}"`],
          ['Size', object.size],
          ['StorageClass', object.headers['x-amz-storage-class'] ?? 'STANDARD'],
        ],
      ]);
    }
  }
  return toXml([
    'ListBucketResult',
    [
      ['Name', name],
      ['Prefix', show(prefix)],
      ['MaxKeys', limit],
      ['KeyCount', contents.length + prefixes.length],
      ['IsTruncated', truncated],
      ...(encoded ? [['EncodingType', 'url'] as const] : []),
      ...(truncated ? [['NextContinuationToken', Buffer.from(last).toString('base64url')] as const] : []),
      ...contents,
      ...prefixes,
    ],
  ]);
}

export function listUploads(name: string, bucket: Bucket, query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? '';
  const encoded = query.get('encoding-type') === 'url';
  const show = (text: string): string => (encoded ? encodeKey(text) : text);
  const uploads = [...bucket.uploads.values()].filter(({ key }) => key.startsWith(prefix));
  return toXml([
    'ListMultipartUploadsResult',
    [
      ['Bucket', name],
      ['Prefix', show(prefix)],
      ['IsTruncated', false],
      ...(encoded ? [['EncodingType', 'url'] as const] : []),
      ...uploads.map(({ id, key, initiated }): XmlNode => [
        'Upload',
        [
          ['Key', show(key)],
          ['UploadId', id],
          ['Initiated', initiated.toISOString()],
        ],
      ]),
    ],
  ]);
}

function sortedKeys({ objects }: Bucket): readonly string[] {
  return [...objects.keys()].toSorted(compare);
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** As AWS encodes: like a form, but for the slash. */
function encodeKey(key: string): string {
  return encodeURIComponent(key).replaceAll('%2F', '/').replaceAll('%20', '+');
}
