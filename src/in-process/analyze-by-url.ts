import { hostname } from 'node:os';
import type { AnalyzeServerOptions } from '../api/record-operations.ts';
import type { Context } from '../engine/context.ts';
import { defaultMemoryThreshold } from '../engine/writing/memory-guard.ts';
import { isPidAlive, processIdentity } from '../home/operations/process-identity.ts';
import { SyncAgentError } from '../platform/errors.ts';
import { analyzeServer } from '../stores/chroma/measuring/analyze-server.ts';
import type { ServerAnalysis } from '../stores/chroma/measuring/analyze-server.ts';
import { serverMemory } from './server-memory.ts';

/** That of the smaller models that people embed with. */
const defaultDimension = 384;

export async function analyzeByUrl(
  { clock, emit, signal }: Context,
  url: string,
  {
    dimension = defaultDimension,
    memoryThreshold = defaultMemoryThreshold,
  }: Omit<AnalyzeServerOptions, 'chroma'>,
): Promise<ServerAnalysis> {
  if (!(Number.isInteger(dimension) && dimension > 0))
    throw new SyncAgentError('USAGE', `Cannot measure with vectors of ${dimension} values`);
  const memory = serverMemory(url);
  const host = hostname();
  emit({ type: 'phase', phase: 'analyze' });
  return analyzeServer({
    url,
    dimension,
    memoryThreshold,
    memory: () => memory.use(),
    serverBytes: () => memory.ofServer(),
    owner: { host, pid: process.pid, process: processIdentity(process.pid) ?? '' },
    isGone: (owner) =>
      owner.host === host &&
      (owner.process === '' ? !isPidAlive(owner.pid) : (processIdentity(owner.pid) ?? '') !== owner.process),
    suffix: clock.randomHex(6),
    random: () => clock.random(),
    now: () => clock.monotonic(),
    onProgress: (done, total) => emit({ type: 'progress', phase: 'analyze', done, total, unit: 'records' }),
    signal,
  });
}
