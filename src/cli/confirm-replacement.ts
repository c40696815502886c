import { SyncAgentError } from '../platform/errors.ts';
import type { Invocation } from './commands/command.ts';

/** Asks a person at a terminal before the store is replaced, unless there is --yes. Without a terminal it goes on: a script was written on purpose. */
export async function confirmReplacement({ config, flags, signal }: Invocation, by: string): Promise<void> {
  const { stdin: input, stderr: output } = process;
  if (flags.has('yes') || !input.isTTY || !output.isTTY) return;
  const { confirm, isCancel } = await import('@clack/prompts');
  const message = `Replace "${config.store}" by ${by}? The present store is kept as a rollback copy`;
  const answer = await confirm({ input, output, signal, message, initialValue: false });
  if (answer === true && !isCancel(answer)) return;
  throw new SyncAgentError(
    'INTERRUPTED',
    `Cannot restore "${config.store}": you said no, and nothing was changed`,
  );
}
