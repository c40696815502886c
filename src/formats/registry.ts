import { SyncAgentError } from '../platform/errors.ts';
import type { ContentFormat } from './content-format.ts';
import { plainFormat } from './plain/plain-format.ts';

/** The content formats that a process knows. */
export interface Formats {
  /** The formats that manifests may have. A reader of the log refuses any other with TOO_NEW. */
  readonly numbers: readonly number[];
  /** New snapshots get this one. */
  readonly current: ContentFormat;
  /** The format of a snapshot. */
  of(manifest: { readonly format: number }): ContentFormat;
}

/** The first one is that of new snapshots; the others are read. */
export function formatsOf(current: ContentFormat, ...older: readonly ContentFormat[]): Formats {
  const all = new Map([current, ...older].map((format) => [format.number, format]));
  return {
    numbers: [...all.keys()].toSorted((a, b) => a - b),
    current,
    of: ({ format: number }) => {
      const format = all.get(number);
      if (format !== undefined) return format;
      throw new SyncAgentError('TOO_NEW', `Cannot read content of format ${number}: it is not known here`, {
        remedy: 'Install the newest sync-agent on this host',
      });
    },
  };
}

/** A new format is a directory beside `plain` and an argument here. */
export const formats: Formats = formatsOf(plainFormat);
