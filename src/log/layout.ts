/**
 * The keys of the log, and the directory of each snapshot. All are relative to the remote's prefix:
 *
 *     manifest.json                       the newest snapshot's manifest, for people; readers use the commit log
 *     history/<snapshot id>/              the objects of a snapshot's content, as its format names them
 *     history/<snapshot id>/.sync-agent/log/<number>.jsonl.gz  what was written after the snapshot
 *     history/.commits/<generation>.json  a copy of each commit, beside the files it describes
 *     history/.attempts/<snapshot id>     a first backup that is not committed yet
 *     commits/<generation>.json           the commit log
 *     leases/<number>.json                which host may commit the newest snapshot
 */
export const manifestKey = 'manifest.json';
export const commitsPrefix = 'commits/';
export const leasesPrefix = 'leases/';
export const historyPrefix = 'history/';
/** Prefix of everything in the history that is not a snapshot's directory: a snapshot id never begins with a dot. */
export const nonSnapshotPrefix = 'history/.';
export const copiesPrefix = 'history/.commits/';
export const attemptsPrefix = 'history/.attempts/';

/** Top-level names that a store file must not have. We use them in every remote, in a directory remote, or on disk. */
const reservedNames: readonly string[] = [
  manifestKey,
  'history',
  'commits',
  'leases',
  '.sync-agent.tmp',
  '.sync-agent',
];

/** S3's limit for a whole key with the remote's prefix, in bytes of UTF-8. */
export const maxKeyBytes = 1024;

export function commitKey(generation: number): string {
  return numberedKey(commitsPrefix, generation);
}

/** The generation of a key of the commit log. Undefined for any other key. */
export function parseCommitKey(key: string): number | undefined {
  return parseNumberedKey(commitsPrefix, key);
}

/** The key of the copy of a commit. */
export function copyKey(generation: number): string {
  return numberedKey(copiesPrefix, generation);
}

/** The generation of a key of a commit's copy. Undefined for any other key. */
export function parseCopyKey(key: string): number | undefined {
  return parseNumberedKey(copiesPrefix, key);
}

export function attemptKey(snapshotId: string): string {
  return attemptsPrefix + snapshotId;
}

/** Where the log that goes on from a snapshot is. */
export function segmentsPrefix(snapshotId: string): string {
  return `${historyDirectory(snapshotId)}.sync-agent/log/`;
}

export function segmentKey(snapshotId: string, number: number): string {
  return numberedKey(segmentsPrefix(snapshotId), number, segmentEnd);
}

/** The number of a segment's key. Undefined for any other key. */
export function parseSegmentKey(snapshotId: string, key: string): number | undefined {
  return parseNumberedKey(segmentsPrefix(snapshotId), key, segmentEnd);
}

const segmentEnd = '.jsonl.gz';

export function leaseKey(number: number): string {
  return numberedKey(leasesPrefix, number);
}

/** The number of a lease's key. Undefined for any other key. */
export function parseLeaseKey(key: string): number | undefined {
  return parseNumberedKey(leasesPrefix, key);
}

function numberedKey(prefix: string, number: number, end = '.json'): string {
  return `${prefix}${String(number).padStart(10, '0')}${end}`;
}

function parseNumberedKey(prefix: string, key: string, end = '.json'): number | undefined {
  if (!key.startsWith(prefix) || !key.endsWith(end)) return undefined;
  const digits = key.slice(prefix.length, -end.length);
  return /^[0-9]{10}$/.test(digits) && Number(digits) > 0 ? Number(digits) : undefined;
}

/** A key for tests of the remote. It has the id of a snapshot that will never exist, so rotation removes what stays behind. */
export function probeKey(snapshotId: string, name = 'probe'): string {
  return historyDirectory(snapshotId) + name;
}

export function isProbeKey(key: string): boolean {
  return snapshotOfKey(key) !== undefined && key.split('/').slice(2).join('/') === 'probe';
}

/** The id of the snapshot in whose directory an object is. Undefined for an object that is in none. */
export function snapshotOfKey(key: string): string | undefined {
  const [top, id = '', ...path] = key.split('/');
  return `${top}/` === historyPrefix && path.length > 0 && isSnapshotId(id) ? id : undefined;
}

export function historyDirectory(snapshotId: string): string {
  return `${historyPrefix}${snapshotId}/`;
}

const snapshotIdPattern = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}\.[0-9]{3}Z-[0-9a-f]{8}$/;

/** `2026-11-21T11-30-05.123Z-7f3a9c2e`. Ids sort by time, and the random end makes the ids of two hosts different. */
export function makeSnapshotId(epochMs: number, nonce: string): string {
  return `${new Date(epochMs).toISOString().replaceAll(':', '-')}-${nonce}`;
}

/** The time in a snapshot id: the captured instant by its host's clock, in milliseconds since 1970. */
export function epochMsOf(snapshotId: string): number {
  const [date = '', time = ''] = snapshotId.slice(0, '2026-11-21T11-30-05.123Z'.length).split('T');
  return Date.parse(`${date}T${time.replaceAll('-', ':')}`);
}

export function isSnapshotId(text: string): boolean {
  return snapshotIdPattern.test(text);
}

/** Whether an id may begin so. */
export function mayBeginId(text: string): boolean {
  const example = '0000-00-00T00-00-00.000Z-00000000';
  const likeIt = text.replace(/[0-9]/g, '0');
  return example.startsWith(likeIt) || isSnapshotId(text);
}

/** Why `path` cannot be the path of a store file, as the end of a sentence. Undefined if it can. */
export function pathProblem(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (Buffer.byteLength(path) > maxKeyBytes) return `is longer than ${maxKeyBytes} bytes`;
  if (path.includes('\0')) return 'holds a NUL character';
  if (/\p{Surrogate}|\uFFFD/u.test(path)) return 'is not valid Unicode';
  if (/^[A-Za-z]:[\\/]/.test(path) || /^[\\/]/.test(path)) return 'is absolute';
  if (path.split(/[\\/]/).some((segment) => segment === '..')) return 'holds ".."';
  const segments = path.split('/');
  if (segments.some((segment) => segment === '' || segment === '.')) return 'holds an empty or "." segment';
  if (process.platform === 'win32' && /[\\:*?"<>|]/.test(path))
    return 'holds a character this system cannot store';
  if (reservedNames.includes(segments[0] ?? '')) return `begins with the reserved name "${segments[0]}"`;
  return undefined;
}
