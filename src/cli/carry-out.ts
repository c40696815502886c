import type { Agent } from '../api/agent.ts';
import { resolveConfig } from '../settings/resolve-config.ts';
import { agentSettings, hookSettings, localSettings } from '../settings/use-config.ts';
import type { Config } from '../settings/settings.ts';
import { flagOf } from '../settings/setting.ts';
import { placeKeys } from '../settings/settings.ts';
import type { Emit } from '../platform/events.ts';
import { createReporter } from '../report/reporter.ts';
import { styleFor } from '../report/style.ts';
import { createFlags } from './flags.ts';
import type { ParsedCommand } from './parse.ts';
import { listenForSignals, neverInterrupted } from './signals.ts';

export interface RunOptions {
  readonly print: (line: string) => void;
  /** The form of errors. A configuration file may set it, so this function updates it. */
  readonly form: { json: boolean; debug: boolean };
}

/** Runs one parsed command: settings, agent, signals, result. Resolves to the exit code; rejects with the error. */
export async function carryOut(parsed: ParsedCommand, { print, form }: RunOptions): Promise<number> {
  const { command } = parsed;
  const { stdout, stderr, env } = process;
  const config = await resolveConfig({
    flags: parsed.settings,
    configFile: parsed.configFile,
    env,
    cwd: process.cwd(),
    onFile: ({ json, debug }) => {
      form.json ||= json === true;
      form.debug ||= debug === true;
    },
  });
  form.json = config.json ?? false;
  form.debug = config.debug ?? false;
  const flags = createFlags(parsed.values);
  const needsRemote = command.needsRemote?.(flags) ?? true;
  const settings = needsRemote ? agentSettings(config) : localSettings(config, config.remote);

  const reporter = createReporter({
    stream: stderr,
    style: styleFor(stderr, env),
    verbosity: config.quiet === true ? 'quiet' : config.verbose === true ? 'verbose' : 'normal',
    hasProgress: config.noProgress !== true,
    now: () => performance.now(),
  });
  const interruption =
    command.ownsSignals === true ? neverInterrupted : listenForSignals((line) => reporter.say(line));
  const { createAgent } = await import('../in-process/create-agent.ts');
  const { lockWaitMs } = command;
  const bare = createAgent(
    { ...settings, ...(lockWaitMs === undefined ? {} : { lockWaitMs }) },
    { emit: reporter.emit, program: `sync-agent ${command.name}`, stdin: () => process.stdin },
  );
  const agent = needsRemote ? await hooked(bare, config, reporter.emit) : bare;
  try {
    const outcome = await command.run({
      agent,
      config,
      given: parsed.settings,
      flags,
      signal: interruption.signal,
      style: styleFor(stdout, env),
      emit: reporter.emit,
      say: (line) => reporter.say(line),
      requests: () => agent.requests() + reporter.retries(),
      commandLine: (words) => ['sync-agent', words, ...repeatedFlags(parsed.settings)].join(' '),
    });
    reporter.stop();
    if (form.json) {
      if (outcome.result !== null) print(JSON.stringify(outcome.result, null, 2));
    } else if (config.quiet !== true || command.isQuery) {
      for (const line of outcome.lines) print(line);
    }
    if (outcome.exitsAtOnce === true) process.exit(outcome.exitCode);
    return outcome.exitCode ?? 0;
  } catch (error) {
    // The signal ended a timer or a call of Node's: the reason says more.
    throw error instanceof Error && error.name === 'AbortError'
      ? (interruption.signal.reason ?? error)
      : error;
  } finally {
    reporter.stop();
    interruption.release();
    await agent.close();
  }
}

async function hooked(agent: Agent, config: Config, emit: Emit): Promise<Agent> {
  const hooks = hookSettings(config, process.env);
  const { store = '', remote, host } = config;
  if (hooks === undefined || remote === undefined) return agent;
  const { withHooks } = await import('../hooks/with-hooks.ts');
  return withHooks(agent, hooks, { store, remote, host, emit });
}

/** The flags of this run that say where the store and the remote are. */
function repeatedFlags(given: Readonly<Record<string, unknown>>): readonly string[] {
  return placeKeys.flatMap((key) => {
    const value = given[key];
    return typeof value === 'string' ? [`--${flagOf(key)}`, quote(value)] : [];
  });
}

/** A word as a shell reads it. */
export const quote = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
