import { SyncAgentError } from '../platform/errors.ts';
import type { GivenFlags } from './flags.ts';
import type { Invocation } from './commands/command.ts';

/** Whether a person is there who has not said yes. */
export function mustAsk(flags: GivenFlags): boolean {
  return !flags.has('yes') && process.stdin.isTTY && process.stderr.isTTY;
}

/** Asks a person at a terminal before the store is replaced, unless there is --yes. Without a terminal it goes on: a script was written on purpose. */
export async function confirmReplacement(
  { config, flags, signal }: Invocation,
  by: string,
  { isKept = true }: { readonly isKept?: boolean } = {},
): Promise<void> {
  const { stdin: input, stderr: output } = process;
  if (!mustAsk(flags)) return;
  const { confirm, isCancel } = await import('@clack/prompts');
  const message = `Replace "${config.store}" by ${by}? The present store is ${isKept ? 'kept as a rollback copy' : 'not kept'}`;
  const answer = await confirm({ input, output, signal, message, initialValue: false });
  if (answer === true && !isCancel(answer)) return;
  throw new SyncAgentError(
    'INTERRUPTED',
    `Cannot restore "${config.store}": you said no, and nothing was changed`,
  );
}
