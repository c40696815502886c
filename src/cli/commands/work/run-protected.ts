import type { ProtectOptions } from '../../../api/protecting.ts';
import { withinVariable } from '../../../in-process/logged-access.ts';
import { createProtector } from '../../../library/protecting/create-protector.ts';
import { systemClock } from '../../../platform/clock.ts';
import { defaultOf } from '../../../settings/settings.ts';
import { agentSettings } from '../../../settings/use-config.ts';
import type { Invocation, Outcome } from '../command.ts';
import { withCommand } from './with-command.ts';

export interface ProtectedCommand {
  readonly name: string;
  readonly argv: readonly string[];
  readonly options: ProtectOptions;
}

/** A damaged store is an error, unless the command failed. */
export async function runProtected(
  invocation: Invocation,
  { name, argv, options }: ProtectedCommand,
): Promise<Outcome> {
  const { agent, config, emit, commandLine } = invocation;
  const protect = createProtector(agentSettings(config), {
    calls: agent,
    clock: systemClock,
    emit,
    intervalMs: config.interval ?? defaultOf('interval'),
    program: 'sync-agent protect',
  });
  /** From before the command. */
  let made: string | null = null;
  return withCommand(invocation, argv, {
    work: ({ signal, run }) =>
      protect(
        name,
        ({ operations, snapshot }) => {
          made = snapshot;
          return run({ [withinVariable]: operations.join(':') });
        },
        { ...options, signal },
      ),
    whenFailed: () =>
      made === null || options.onFailure === 'restore'
        ? undefined
        : `"${name}" failed, and the store stays as it is. To go back to the snapshot before it: ${commandLine(`restore --snapshot ${made}`)}`,
  });
}
