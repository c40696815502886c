import { exitCodes } from '../../../platform/errors.ts';
import { serverNamed } from '../../server-argument.ts';
import { sentLines } from '../../text/import-lines.ts';
import type { Command } from '../command.ts';

export const importCommand: Command = {
  name: 'import',
  describe: 'Put files of an export into a running Chroma server',
  isQuery: false,
  positionals: [
    {
      name: 'files',
      describe: 'Files of records, or directories of an export',
      isRequired: true,
      isList: true,
    },
  ],
  options: {
    chroma: { type: 'string', describe: 'URL of the Chroma server' },
    as: { type: 'string', describe: 'Name of the collection instead of the exported one; for one file' },
    database: {
      type: 'string',
      describe: 'Database instead of the exported one; it is made if it is missing',
    },
    tenant: { type: 'string', describe: 'Tenant instead of the exported one; it is made if it is missing' },
    'memory-threshold': {
      type: 'string',
      describe: 'Wait, then stop, while more memory of host or container is used (default: 80%)',
    },
    overwrite: { type: 'boolean', describe: 'Replace records that are there and differ' },
    'keep-going': { type: 'boolean', describe: 'Leave records out that cannot be imported, and name them' },
  },
  needsRemote: () => false,
  run: async ({ agent, flags, signal, style }) => {
    const chroma = serverNamed(flags, 'import');
    const result = await agent.importFrom(flags.list('files'), {
      chroma,
      as: flags.text('as'),
      database: flags.text('database'),
      tenant: flags.text('tenant'),
      memoryThreshold: flags.share('memory-threshold'),
      overwrite: flags.has('overwrite'),
      keepGoing: flags.has('keep-going'),
      signal,
    });
    return {
      result,
      lines: result.collections.flatMap((each) => sentLines(each, style)),
      exitCode: result.problems === 0 ? 0 : exitCodes.SNAPSHOT_CORRUPT,
    };
  },
};
