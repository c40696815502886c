import type { Agent } from '../api/agent.ts';
import type { RecordOperations, RecordsFrom } from '../api/record-operations.ts';
import type { Context } from '../engine/context.ts';
import { diffRecords } from '../engine/records/diff-records.ts';
import { exportTo } from '../engine/records/export-to.ts';
import { restoreCollection } from '../engine/records/restore-collection.ts';
import { withRecordSource } from '../engine/records/with-record-source.ts';
import type { ReadRecords } from '../engine/records/with-record-source.ts';
import type { SourceName } from '../engine/reading/store-source.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { LoggedAccess } from './logged-access.ts';
import type { AgentPorts, StoreAccess } from './store-access.ts';

/** Finds the records that a call names: in the store, in a directory, in a snapshot, or in a running server. */
export function recordOperations(
  access: StoreAccess,
  log: LoggedAccess,
  { stdin, ...calls }: Pick<AgentPorts, 'stdin'> & Pick<Agent, 'backup' | 'pin'>,
): RecordOperations {
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
        const name: SourceName =
          snapshot === undefined ? { type: 'store' } : { type: 'snapshot', snapshot, log: options.log };
        return withRecordSource(context, name, options.salvage, use);
      });
    return dir === undefined ? access.read(inContext, signal) : access.readElsewhere(dir, inContext, signal);
  };
  return {
    exportTo: (to, { signal, dir, snapshot, chroma, ...options } = {}) =>
      within({ dir, snapshot, chroma }, signal, (context, read) => exportTo(context, read, to, options)),
    importFrom: (paths, { signal, ...options }) =>
      log.read('import', { signal }, async (context) =>
        (await import('./write-by-url.ts')).importByUrl(context, paths, options),
      ),
    indexFile: (path, { signal, ...options }) =>
      log.read('index', { signal }, async (context) => {
        const stream = path === '-' ? stdin?.() : undefined;
        return (await import('./write-by-url.ts')).indexByUrl(context, path, stream, options);
      }),
    analyzeServer: ({ chroma, signal, ...options }) =>
      log.read('analyze', { signal }, async (context) =>
        (await import('./analyze-by-url.ts')).analyzeByUrl(context, chroma, options),
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
        within(from, signal, async (context, read) => {
          const { targetByUrl } = await import('./write-by-url.ts');
          return restoreCollection(context, read, name, targetByUrl(context, chroma), options);
        }),
      );
    },
    merge: (ours, theirs, { signal, ...options }) =>
      log.call('merge', { dryRun: options.dryRun }, ({ id }) =>
        access.read(async (context) => {
          const { mergeByUrl } = await import('./merge-by-url.ts');
          return mergeByUrl(context, { ours, theirs }, options, { ...calls, within: id });
        }, signal),
      ),
  };
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
