/**
 * What is in an archive:
 *
 *     store/<path>     every file of the store; an empty directory is an entry of its own
 *     manifest.json    as in a remote: sizes, hashes, modes, times. Written last, because files are hashed on their way
 *
 * The comment of the ZIP file is an `ArchiveNote`.
 */
/** In manifests: each file is one entry of the same bytes, as in the plain format. */
export const manifestFormat = 1;

export const manifestName = 'manifest.json';

export const entryName = (path: string): string => `store/${path}`;

/** Also of its name in the archive's own directory: `NAME_YYYYMMDD_HHMMSS.zip`, in UTC, so that names sort by time. */
export function archiveName(store: string, atMs: number): string {
  const [date = '', time = ''] = new Date(atMs).toISOString().split('T');
  return `${store}_${date.replaceAll('-', '')}_${time.slice(0, 8).replaceAll(':', '')}.zip`;
}

/** Whether a file may be an archive of this name. Its note has the last word. */
export function isArchiveName(file: string, store: string): boolean {
  return file.startsWith(`${store}_`) && /^[0-9]{8}_[0-9]{6}\.zip$/.test(file.slice(store.length + 1));
}
