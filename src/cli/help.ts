import yargs from 'yargs';
import type { Argv } from 'yargs';
import type { Command } from './commands/command.ts';
import { commonFlags, parserConfiguration } from './grammar.ts';
import type { Flags } from './grammar.ts';

/** The text of `--help`, of a completion script, or the candidates a shell asks for. */
export async function helpText(args: readonly string[], commands: readonly Command[]): Promise<string> {
  const isCompletion = args.includes('--get-yargs-completions');
  let parser = yargs([])
    .scriptName('sync-agent')
    .usage('$0 <command>\n\nKeeps a local database directory durable in S3-compatible object storage.')
    .locale('en')
    .exitProcess(false)
    .parserConfiguration(parserConfiguration)
    .help()
    .alias('h', 'help')
    .version(false)
    .option('version', { type: 'boolean', describe: 'Print the version' })
    .wrap(Math.min(process.stdout.columns || 100, 120))
    .epilogue(epilogue);
  parser = withFlags(parser, commonFlags, isCompletion);
  for (const command of commands) {
    const { name, describe, positionals = [] } = command;
    const words = positionals.map(({ name: word, isRequired, isList }) => {
      const many = isList === true ? `${word}..` : word;
      return isRequired ? `<${many}>` : `[${many}]`;
    });
    parser = parser.command([name, ...words].join(' '), describe, (builder) =>
      withUsage(withFlags(builder, ownFlags(command), isCompletion), command),
    );
  }
  parser = parser.completion('completion', 'Print a completion script for bash or zsh');
  return printedBy(() => parser.parseAsync(args[0] === 'help' ? [...args.slice(1), '--help'] : [...args]));
}

/** yargs prints by console.log. It passes help to a callback instead, but completions come after that was called. */
async function printedBy(work: () => Promise<unknown>): Promise<string> {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...words: unknown[]) => void lines.push(words.join(' '));
  try {
    await work();
  } finally {
    console.log = log;
  }
  return lines.join('\n');
}

function withFlags<T>(parser: Argv<T>, flags: Flags, isCompletion: boolean): Argv<T> {
  for (const [name, { type, isList, describe, group, defaultDescription, choices }] of flags) {
    parser.option(name, {
      type,
      describe,
      array: isList === true,
      ...(group === undefined ? {} : { group }),
      ...(defaultDescription === undefined ? {} : { defaultDescription }),
      // The sentences of --help have them.
      ...(isCompletion && choices !== undefined ? { choices } : {}),
    });
  }
  return parser;
}

/** In a group of their own: yargs prints the groups of a command before those of all commands. */
function ownFlags({ options = {} }: Command): Flags {
  const group = 'Flags of this command:';
  return new Map(Object.entries(options).map(([name, flag]) => [name, { ...flag, group }]));
}

function withUsage<T>(parser: Argv<T>, { name, describe, positionals = [], rest }: Command): Argv<T> {
  for (const each of positionals) parser.positional(each.name, { type: 'string', describe: each.describe });
  if (rest === undefined) return parser;
  const what = rest.name.toUpperCase();
  return parser.usage(
    `$0 ${name} [flags] -- ${what} [ARGUMENT...]\n\n${describe}\n\n${what}  ${rest.describe}`,
  );
}

const epilogue = `Settings can also come from the environment (SYNC_AGENT_STORE, SYNC_AGENT_S3_ENDPOINT …), from
sync-agent.config.json, or from "syncAgent" in package.json. Credentials come from where the AWS
command line finds them.

Exit codes: 0 done, or nothing to do; 1 defect; 2 usage; 3 not found; 4 diverged; 5 damaged data;
6 remote out of reach; 7 denied; 8 busy; 9 disk full; 10 refused; 11 too new; 130 interrupted.`;
