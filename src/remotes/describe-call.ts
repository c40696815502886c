export type RemoteOperation =
  'put' | 'get' | 'head' | 'list' | 'listDirectories' | 'copy' | 'remove' | 'sweepUploads';

/** One call in words: `put "a/b" to s3://bucket/prefix`. Errors put "Cannot " before it. */
export function describeCall(operation: RemoteOperation, subject: string, location: string): string {
  switch (operation) {
    case 'put':
      return `put "${subject}" to ${location}`;
    case 'get':
      return `get "${subject}" from ${location}`;
    case 'head':
      return `look up "${subject}" in ${location}`;
    case 'list':
    case 'listDirectories':
      return `list "${subject}" in ${location}`;
    case 'copy':
      return `copy "${subject}" in ${location}`;
    case 'remove':
      return `remove "${subject}" from ${location}`;
    case 'sweepUploads':
      return `sweep unfinished uploads of "${subject}" in ${location}`;
    default:
      return operation satisfies never;
  }
}

/** The subject of a call on many keys. */
export function describeKeys(keys: readonly string[]): string {
  const [first = ''] = keys;
  return keys.length > 1 ? `${first} (and ${keys.length - 1} more)` : first;
}
