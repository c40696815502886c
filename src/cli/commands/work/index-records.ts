import type { IndexResult } from '../../../engine/writing/index-records.ts';
import { SyncAgentError, exitCodes } from '../../../platform/errors.ts';
import { formatCount, formatDuration } from '../../../report/format.ts';
import type { Style } from '../../../report/style.ts';
import { sentLines } from '../../text/import-lines.ts';
import type { Command } from '../command.ts';

export const indexCommand: Command = {
  name: 'index',
  describe: 'Write a JSON Lines file into a collection of a running Chroma server, safely',
  isQuery: false,
  positionals: [
    {
      name: 'file',
      describe: 'File of records, as export writes it; .gz is unpacked; "-" is standard input',
      isRequired: true,
    },
  ],
  options: {
    chroma: { type: 'string', describe: 'URL of the Chroma server' },
    collection: { type: 'string', describe: 'Name of the collection; it is made if it is missing' },
    database: { type: 'string', describe: 'Database of the collection; it is made if it is missing' },
    tenant: { type: 'string', describe: 'Tenant of the collection; it is made if it is missing' },
    'batch-size': {
      type: 'string',
      describe: 'Most records in one request (default: adapted, up to what the server takes)',
    },
    deadline: { type: 'string', describe: 'Time for each request (default: 30s)' },
    'memory-threshold': {
      type: 'string',
      describe: 'Wait, then stop, while more memory of host or container is used (default: 80%)',
    },
    undo: { type: 'boolean', describe: 'If it fails, delete the records that it added' },
    'keep-going': { type: 'boolean', describe: 'Leave records out that cannot be written, and name them' },
  },
  needsRemote: () => false,
  run: async ({ agent, flags, signal, style }) => {
    const [chroma, collection] = [flags.text('chroma'), flags.text('collection')];
    if (chroma === undefined || collection === undefined) {
      throw new SyncAgentError(
        'USAGE',
        `Cannot index without ${chroma === undefined ? 'a server' : 'a collection'}`,
        { remedy: 'Add --chroma URL and --collection NAME, such as --chroma http://127.0.0.1:8000' },
      );
    }
    const result = await agent.indexFile(flags.text('file') ?? '', {
      chroma,
      collection,
      database: flags.text('database'),
      tenant: flags.text('tenant'),
      batchSize: flags.count('batch-size'),
      deadlineMs: flags.duration('deadline'),
      memoryThreshold: flags.share('memory-threshold'),
      undo: flags.has('undo'),
      keepGoing: flags.has('keep-going'),
      signal,
    });
    return {
      result,
      lines: indexLines(result, style),
      exitCode: result.problems.length === 0 ? 0 : exitCodes.SNAPSHOT_CORRUPT,
    };
  },
};

function indexLines(result: IndexResult, style: Style): readonly string[] {
  const { isNew, batchSize, pausedMs, added, equal, overwritten } = result;
  return [
    ...sentLines(result, style, 'Indexed'),
    ...(isNew ? ['  The collection was made, with the settings of the server'] : []),
    ...(added + equal + overwritten <= batchSize
      ? []
      : [`  The server took ${formatCount(batchSize)} records at a time in the end`]),
    ...(pausedMs === 0 ? [] : [`  It waited ${formatDuration(pausedMs)} for memory`]),
  ];
}
