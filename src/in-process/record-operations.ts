import type { RecordOperations, RecordsFrom } from '../api/record-operations.ts';
import type { Context } from '../engine/context.ts';
import { diffRecords } from '../engine/records/diff-records.ts';
import { exportTo } from '../engine/records/export-to.ts';
import { importRecords } from '../engine/records/import-records.ts';
import { restoreCollection } from '../engine/records/restore-collection.ts';
import { withRecordSource } from '../engine/records/with-record-source.ts';
import type { ReadRecords } from '../engine/records/with-record-source.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { RecordTarget } from '../stores/record-source.ts';
import { retryingTarget } from './retrying-target.ts';
import type { LoggedAccess } from './logged-access.ts';
import type { StoreAccess } from './store-access.ts';

/** Finds the records that a call names: in the store, in a directory, in a snapshot, or in a running server. */
export function recordOperations(access: StoreAccess, log: LoggedAccess): RecordOperations {
  const within = <T>(
    from: RecordsFrom,
    signal: AbortSignal | undefined,
    work: (context: Context, read: ReadRecords) => Promise<T>,
  ): Promise<T> => {
    const { dir, snapshot, chroma } = onlyOne(from);
    const inContext = (context: Context): Promise<T> =>
      work(context, async (options, use) => {
        if (chroma !== undefined) {
          const { openServerSource } = await import('../stores/chroma/server/record-source.ts');
          if (options.salvage !== undefined) {
            throw new SyncAgentError('USAGE', 'Cannot salvage a running server: its store is salvaged', {
              remedy: 'Name its directory instead of its URL',
            });
          }
          const source = await openServerSource({ url: chroma }, { tenant: options.tenant, signal });
          return use(source, withoutCredentials(chroma));
        }
        const name =
          snapshot === undefined ? ({ type: 'store' } as const) : ({ type: 'snapshot', snapshot } as const);
        return withRecordSource(context, name, options.salvage, use);
      });
    return dir === undefined ? access.read(inContext, signal) : access.readElsewhere(dir, inContext, signal);
  };
  return {
    exportTo: (to, { signal, dir, snapshot, chroma, ...options } = {}) =>
      within({ dir, snapshot, chroma }, signal, (context, read) => exportTo(context, read, to, options)),
    importFrom: (paths, { chroma, signal, ...options }) =>
      log.read('import', { signal }, async (context) =>
        importRecords(context, paths, await openTarget(chroma, context), options),
      ),
    diffRecords: (from, to, { signal, ...choice } = {}) => {
      const reading =
        (place: RecordsFrom): ReadRecords =>
        (options, use) =>
          within(place, signal, (_, read) => read(options, use));
      return access.read((context) => diffRecords(context, reading(from), reading(to), choice), signal);
    },
    restoreCollection: (name, { chroma, snapshot, dir, signal, ...options }) => {
      const from = dir === undefined ? { snapshot: snapshot ?? 'latest' } : { dir, snapshot };
      return log.call('restore-collection', {}, () =>
        within(from, signal, async (context, read) =>
          restoreCollection(context, read, name, await openTarget(chroma, context), options),
        ),
      );
    },
  };
}

async function openTarget(url: string, context: Context): Promise<RecordTarget> {
  const { openServerTarget } = await import('../stores/chroma/server/record-target.ts');
  return retryingTarget(openServerTarget({ url }), context);
}

function onlyOne(from: RecordsFrom): RecordsFrom {
  const given = (['dir', 'snapshot', 'chroma'] as const).filter((name) => from[name] !== undefined);
  if (given.length < 2) return from;
  throw new SyncAgentError('USAGE', `Cannot read records of "${given[0]}" and of "${given[1]}" at once`);
}

function withoutCredentials(url: string): string {
  if (!URL.canParse(url)) return url;
  const parsed = new URL(url);
  [parsed.username, parsed.password] = ['', ''];
  return parsed.href.replace(/\/$/, '');
}
