import type { ServerAnalysis } from '../../../stores/chroma/measuring/analyze-server.ts';
import { formatBytes, formatCount, formatDuration, printable, table } from '../../../report/format.ts';
import type { Style } from '../../../report/style.ts';
import { serverNamed } from '../../server-argument.ts';
import type { Command } from '../command.ts';

export const analyzeCommand: Command = {
  name: 'analyze',
  describe: 'Measure what batches a running Chroma server sustains, in a scratch collection',
  isQuery: true,
  options: {
    chroma: { type: 'string', describe: 'URL of the Chroma server' },
    dimension: { type: 'string', describe: 'Values of the vectors it measures with (default: 384)' },
    'memory-threshold': {
      type: 'string',
      describe: 'Stop when more memory of host or container is used (default: 80%)',
    },
  },
  needsRemote: () => false,
  run: async ({ agent, flags, signal, style }) => {
    const chroma = serverNamed(flags, 'analyze');
    const result = await agent.analyzeServer({
      chroma,
      dimension: flags.count('dimension'),
      memoryThreshold: flags.share('memory-threshold'),
      signal,
    });
    return { result, lines: analysisLines(result, style) };
  },
};

const stops = {
  'too-slow': 'A batch took longer than 5 s: larger ones were not tried',
  memory: 'Memory was short: larger batches were not tried',
  time: 'A minute was over: larger batches were not tried',
};

function analysisLines(analysis: ServerAnalysis, style: Style): readonly string[] {
  const { url, version, maxBatch, dimension, batches, query, stopped, recommendation, leftovers } = analysis;
  const rows = batches.map((each) => [
    formatCount(each.records),
    formatDuration(each.addMs),
    formatDuration(each.medianMs),
    formatDuration(each.slowestMs),
    formatCount(each.recordsPerSecond),
    each.serverBytes === null ? '-' : formatBytes(each.serverBytes),
    each.memory === null ? '-' : `${Math.round((100 * each.memory.usedBytes) / each.memory.limitBytes)} %`,
  ]);
  const right = (title: string) => ({ title, align: 'right' as const });
  return [
    `${printable(url)}, version ${printable(version)}, takes ${formatCount(maxBatch)} records in a request; measured with ${dimension} values`,
    ...table(['Records', 'written', 'and read', 'slowest', 'records/s', 'server', 'memory'].map(right), rows),
    `A query of ${formatCount(query.records)} records took ${formatDuration(query.medianMs)}, the slowest ${formatDuration(query.slowestMs)}`,
    ...(stopped === null ? [] : [stops[stopped]]),
    ...(leftovers === 0
      ? []
      : [`Removed ${formatCount(leftovers)} scratch collections of runs that were killed`]),
    `${style.green('Recommended')}: --batch-size ${recommendation.batchSize} (${formatCount(recommendation.recordsPerSecond)} records/s)`,
  ];
}
