import { join } from 'node:path';
import { SyncAgentError } from '../../../platform/errors.ts';
import { formatAge, formatBytes, table, timeOfSnapshot } from '../../../report/format.ts';
import { locateHome, rollbackRoot } from '../../../home/home.ts';
import type { RollbackCopy } from '../../../home/rollback-copies.ts';
import type { Command, Invocation, Outcome } from '../command.ts';
import type { GivenFlags } from '../../flags.ts';

export const rollbackCommand: Command = {
  name: 'rollback',
  describe: 'List the stores that restores and repairs replaced, or put one back',
  isQuery: true,
  positionals: [
    {
      name: 'copy',
      describe: 'Copy to put back: latest, its name or a unique start of it; or list [default: list]',
      isRequired: false,
    },
  ],
  options: {
    force: { type: 'boolean', describe: 'Put it back even if the store is in use or the copy is damaged' },
  },
  needsRemote: (flags) => !isListing(flags),
  run: (invocation) => (isListing(invocation.flags) ? listCopies(invocation) : putBack(invocation)),
};

const isListing = (flags: GivenFlags): boolean => (flags.text('copy') ?? 'list') === 'list';

async function listCopies({ agent, config, style }: Invocation): Promise<Outcome> {
  const copies = await agent.rollbackCopies();
  const root = rollbackRoot(await locateHome(config.store ?? ''));
  if (copies.length === 0)
    return { result: { copies: [] }, lines: ['No rollback copies: no restore has replaced this store'] };
  const [header = '', ...lines] = table(
    [
      { title: 'COPY' },
      { title: 'REPLACED', align: 'right' },
      { title: 'SIZE', align: 'right' },
      { title: 'FILES', align: 'right' },
    ],
    copies.map((copy) => [copy.name, age(copy), formatBytes(copy.bytes), String(copy.files)]),
  );
  return {
    result: { copies: copies.map((copy) => ({ ...copy, path: join(root, copy.name) })) },
    lines: [style.bold(header), ...lines, `In ${root}`],
  };
}

async function putBack({ agent, flags, signal, style, commandLine }: Invocation): Promise<Outcome> {
  const copies = await agent.rollbackCopies();
  const result = await agent.rollBack(chooseCopy(copies, flags.text('copy') ?? ''), {
    force: flags.has('force'),
    signal,
  });
  return {
    result,
    lines: [
      `${style.green('Put back')} the store that was replaced at ${style.bold(result.copy)}`,
      ...(result.rollbackCopy === undefined
        ? []
        : [
            `  the store that was here is kept; to go back: ${commandLine(`rollback ${result.rollbackCopy}`)}`,
          ]),
    ],
  };
}

function chooseCopy(copies: readonly RollbackCopy[], name: string): string {
  if (name === 'latest') return copies.at(-1)?.name ?? name;
  const matches = copies.filter((copy) => copy.name.startsWith(name));
  if (matches.length > 1 && !matches.some((copy) => copy.name === name)) {
    throw new SyncAgentError(
      'USAGE',
      `Cannot choose rollback copy "${name}": ${matches.length} copies start with it`,
      {
        remedy: `Type more of it: ${matches.map((copy) => copy.name).join(', ')}`,
      },
    );
  }
  return matches.length === 1 ? (matches[0]?.name ?? name) : name;
}

function age(copy: RollbackCopy): string {
  return formatAge(Math.max(0, Date.now() - timeOfSnapshot(copy.name)));
}
