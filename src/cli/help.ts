import yargs from 'yargs';
import { flagOf, settingKeys, settings } from '../settings/registry.ts';
import type { Command } from './commands/command.ts';

/** The text of `--help`, of a completion script, or the candidates a shell asks for. */
export async function helpText(args: readonly string[], commands: readonly Command[]): Promise<string> {
  let parser = yargs([])
    .scriptName('sync-agent')
    .usage('$0 <command>\n\nKeeps a local database directory durable in S3-compatible object storage.')
    .locale('en')
    .exitProcess(false)
    .help()
    .alias('h', 'help')
    .version(false)
    .option('version', { type: 'boolean', describe: 'Print the version' })
    .option('config', {
      type: 'string',
      describe: 'Config file [default: ./sync-agent.config.json]',
      group: 'Store and remote:',
    })
    .wrap(Math.min(process.stdout.columns || 100, 120))
    .epilogue(epilogue);
  for (const key of settingKeys) {
    const { type, ...rest } = settings[key];
    parser = parser.option(
      flagOf(key),
      type === 'list' ? { ...rest, type: 'string', array: true } : { ...rest, type },
    );
  }
  for (const { name, describe, positionals = [], rest, options = {} } of commands) {
    const pattern = [
      name,
      ...positionals.map((each) => (each.isRequired ? `<${each.name}>` : `[${each.name}]`)),
    ];
    parser = parser.command(pattern.join(' '), describe, (builder) => {
      for (const each of positionals)
        builder.positional(each.name, { type: 'string', describe: each.describe });
      for (const [flag, { type, describe: text }] of Object.entries(options))
        builder.option(flag, { type, describe: text });
      if (rest !== undefined) {
        const what = rest.name.toUpperCase();
        builder.usage(
          `$0 ${name} [flags] -- ${what} [ARGUMENT...]\n\n${describe}\n\n${what}  ${rest.describe}`,
        );
      }
      return builder;
    });
  }
  parser = parser.completion('completion', 'Print a completion script for bash or zsh');
  return capture(async () => {
    await parser.parseAsync(args[0] === 'help' ? [...args.slice(1), '--help'] : [...args]);
  });
}

const epilogue = `Settings may also stand in the environment (SYNC_AGENT_STORE, SYNC_AGENT_S3_ENDPOINT …), in
sync-agent.config.json or in "syncAgent" of package.json. Credentials come from where the AWS
command line takes them.

Exit codes: 0 done, or nothing to do; 1 defect; 2 usage; 3 not found; 4 diverged; 5 damaged data;
6 remote out of reach; 7 denied; 8 busy; 9 disk full; 10 refused; 11 too new; 130 interrupted.`;

/** yargs prints by console.log, and completions without asking. */
async function capture(work: () => Promise<void>): Promise<string> {
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
