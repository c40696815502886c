import type { RecordOperations, RecordsFrom } from '../api/record-operations.ts';
import type { Context } from '../engine/context.ts';
import { diffRecords } from '../engine/records/diff-records.ts';
import { exportTo } from '../engine/records/export-to.ts';
import { importRecords } from '../engine/records/import-records.ts';
import { restoreCollection } from '../engine/records/restore-collection.ts';
import { indexFile } from '../engine/writing/index-file.ts';
import { defaultMemoryThreshold, memoryGuard } from '../engine/writing/memory-guard.ts';
import type { MemoryGuard } from '../engine/writing/memory-guard.ts';
import { withRecordSource } from '../engine/records/with-record-source.ts';
import type { ReadRecords } from '../engine/records/with-record-source.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { RecordTarget } from '../stores/record-source.ts';
import { notifyRunningAgent } from './notify-running-agent.ts';
import { retryingTarget } from './retrying-target.ts';
import type { LoggedAccess } from './logged-access.ts';
import { serverMemory } from './server-memory.ts';
import type { AgentPorts, StoreAccess } from './store-access.ts';

export const defaultDeadlineMs = 30_000;

/** Finds the records that a call names: in the store, in a directory, in a snapshot, or in a running server. */
export function recordOperations(
  access: StoreAccess,
  log: LoggedAccess,
  { stdin }: Pick<AgentPorts, 'stdin'>,
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
        const name =
          snapshot === undefined ? ({ type: 'store' } as const) : ({ type: 'snapshot', snapshot } as const);
        return withRecordSource(context, name, options.salvage, use);
      });
    return dir === undefined ? access.read(inContext, signal) : access.readElsewhere(dir, inContext, signal);
  };
  return {
    exportTo: (to, { signal, dir, snapshot, chroma, ...options } = {}) =>
      within({ dir, snapshot, chroma }, signal, (context, read) => exportTo(context, read, to, options)),
    importFrom: (paths, { chroma, memoryThreshold, signal, ...options }) =>
      log.read('import', { signal }, async (context) =>
        importRecords(context, paths, await openTarget(chroma, context), {
          ...options,
          guard: guardOf(context, chroma, memoryThreshold),
        }),
      ),
    indexFile: (path, { chroma, memoryThreshold, deadlineMs, signal, ...options }) =>
      log.read('index', { signal }, async (context) => {
        const target = await openTarget(chroma, context, { deadlineMs: deadlineMs ?? defaultDeadlineMs });
        const guard = guardOf(context, chroma, memoryThreshold);
        const stream = path === '-' ? stdin?.() : undefined;
        try {
          return await indexFile(context, path, { target, guard, stream }, options);
        } finally {
          await notifyRunningAgent(context);
        }
      }),
    analyzeServer: ({ chroma, signal, ...options }) =>
      log.read('analyze', { signal }, async (context) => {
        const { analyzeByUrl } = await import('./analyze-by-url.ts');
        return analyzeByUrl(context, chroma, options);
      }),
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

/** With a deadline for each request, requests that run into it are made smaller by the caller. */
async function openTarget(
  url: string,
  { clock, emit }: Context,
  indexing?: { readonly deadlineMs: number },
): Promise<RecordTarget> {
  const { openServerTarget } = await import('../stores/chroma/server/record-target.ts');
  return indexing === undefined
    ? retryingTarget(openServerTarget({ url }), { clock, emit })
    : retryingTarget(openServerTarget({ url, timeoutMs: indexing.deadlineMs }), {
        clock,
        emit,
        operation: 'index',
        isSplit: true,
      });
}

function guardOf({ clock, emit }: Context, url: string, threshold = defaultMemoryThreshold): MemoryGuard {
  const memory = serverMemory(url);
  return memoryGuard({ read: () => memory.use(), threshold, clock, emit });
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
