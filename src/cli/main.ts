import { asSyncAgentError, errorDocument, errorLines, stackLines } from '../report/error.ts';
import { styleFor } from '../report/style.ts';
import type { Command } from './commands/command.ts';

/** Runs a command line to its end and resolves to the exit code. Never rejects. */
export async function main(args: readonly string[], commands?: readonly Command[]): Promise<number> {
  const { stdout, stderr, env } = process;
  const print = (line: string): void => void stdout.write(`${line}\n`);
  // What follows "--" may be another program's flags.
  const own = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
  // Errors of the command line itself must come out in the form that was asked for, too.
  const isAsked = (flag: string, variable: string): boolean =>
    own.includes(flag) || ['1', 'true', 'yes'].includes((env[variable] ?? '').toLowerCase());
  const form = { json: isAsked('--json', 'SYNC_AGENT_JSON'), debug: isAsked('--debug', 'SYNC_AGENT_DEBUG') };
  try {
    if (own.includes('--version')) {
      const { version } = await import('../version.ts');
      print(version);
      return 0;
    }
    if (args.length === 0 && commands === undefined && isPersonThere()) {
      const { runMenu } = await import('./menu/menu.ts');
      return await runMenu(main);
    }
    const known = commands ?? (await commandsFor(args, own));
    if (asksForHelp(own)) {
      const { helpText } = await import('./help.ts');
      print(await helpText(args, known));
      return 0;
    }
    const { parseCommandLine } = await import('./parse.ts');
    const parsed = parseCommandLine(args, known);
    const { carryOut } = await import('./carry-out.ts');
    return await carryOut(parsed, { print, form });
  } catch (thrown) {
    const error = asSyncAgentError(thrown);
    const style = styleFor(stderr, env);
    for (const line of errorLines(error, style)) stderr.write(`${line}\n`);
    if (form.debug) for (const line of stackLines(thrown)) stderr.write(`${style.dim(line)}\n`);
    if (form.json) print(JSON.stringify(errorDocument(error), null, 2));
    return error.exitCode;
  }
}

/** The command that is asked for; all of them where others may be meant, or named. */
async function commandsFor(args: readonly string[], own: readonly string[]): Promise<readonly Command[]> {
  const { allCommands, commandNamed } = await import('./commands.ts');
  const asked = asksForHelp(own) ? undefined : await commandNamed(args[0] ?? '');
  return asked === undefined ? allCommands() : [asked];
}

/** Whether somebody can answer questions. */
function isPersonThere(): boolean {
  return process.stdin.isTTY && process.stdout.isTTY && process.stderr.isTTY;
}

/** Whether a command line asks for help or completion rather than work. */
function asksForHelp(args: readonly string[]): boolean {
  return (
    args.some((arg) => ['--help', '-h', '--get-yargs-completions'].includes(arg)) ||
    ['help', 'completion'].includes(args[0] ?? '')
  );
}
