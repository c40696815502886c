import type { Readable } from 'node:stream';
import type { ImportOptions, IndexIntoServerOptions } from '../api/record-operations.ts';
import type { Context } from '../engine/context.ts';
import { importRecords } from '../engine/records/import-records.ts';
import type { ImportResult } from '../engine/records/import-records.ts';
import { indexFile } from '../engine/writing/index-file.ts';
import type { IndexResult } from '../engine/writing/index-records.ts';
import { defaultMemoryThreshold, memoryGuard } from '../engine/writing/memory-guard.ts';
import type { MemoryGuard } from '../engine/writing/memory-guard.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { RecordTarget } from '../stores/record-source.ts';
import { openServerTarget } from '../stores/chroma/server/record-target.ts';
import { notifyRunningAgent } from './notify-running-agent.ts';
import { retryingTarget } from './retrying-target.ts';
import { serverMemory } from './server-memory.ts';

export const defaultDeadlineMs = 30_000;

/** A running server, as calls that write single records see it. */
export function targetByUrl(context: Context, url: string): RecordTarget {
  return retryingTarget(openServerTarget({ url }), context);
}

export function importByUrl(
  context: Context,
  paths: readonly string[],
  { chroma, memoryThreshold, ...options }: ImportOptions,
): Promise<ImportResult> {
  const guard = guardOf(context, chroma, memoryThreshold);
  return importRecords(context, paths, targetByUrl(context, chroma), { ...options, guard });
}

export async function indexByUrl(
  context: Context,
  path: string,
  stream: Readable | undefined,
  { chroma, memoryThreshold, deadlineMs = defaultDeadlineMs, ...options }: IndexIntoServerOptions,
): Promise<IndexResult> {
  const { clock, emit } = context;
  assertDeadline(deadlineMs);
  // Requests that run into their deadline are made smaller.
  const target = retryingTarget(openServerTarget({ url: chroma, timeoutMs: deadlineMs }), {
    clock,
    emit,
    operation: 'index',
    isSplit: true,
  });
  const guard = guardOf(context, chroma, memoryThreshold);
  try {
    return await indexFile(context, path, { target, guard, stream }, options);
  } finally {
    await notifyRunningAgent(context);
  }
}

export function assertDeadline(ms: number): void {
  if (ms > 0) return;
  throw new SyncAgentError('USAGE', `Cannot use ${ms} ms as the deadline of a request`, {
    remedy: 'Give more than 0',
  });
}

function guardOf({ clock, emit }: Context, url: string, threshold = defaultMemoryThreshold): MemoryGuard {
  const memory = serverMemory(url);
  return memoryGuard({ read: () => memory.use(), threshold, clock, emit });
}
