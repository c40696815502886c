import { locateHome, storeExists } from '../../../home/home.ts';
import { confirmReplacement } from '../../confirm-replacement.ts';
import { archiveRestoredLines, archiveRestoredToLines } from '../../text/archive-lines.ts';
import { SyncAgentError } from '../../../platform/errors.ts';
import type { Invocation, Outcome } from '../command.ts';
import { passwordOf } from './password.ts';

export async function restore(invocation: Invocation, file: string): Promise<Outcome> {
  const { agent, config, flags, signal, style, commandLine } = invocation;
  const password = await passwordOf(flags);
  const to = flags.text('to');
  if (to !== undefined) {
    if (flags.has('force'))
      throw new SyncAgentError('USAGE', 'Cannot use --force with --to: the store is not touched');
    const result = await agent.restoreArchiveTo(file, to, { password, signal });
    return { result, lines: archiveRestoredToLines(result, style) };
  }
  const home = await locateHome(config.store ?? '');
  if (await storeExists(home)) {
    // Before the question: an archive that cannot be read replaces nothing.
    const { createdAt, records } = await agent.archiveInfo(file, { password, signal });
    await confirmReplacement(invocation, `the archive of ${createdAt} with ${records} records`);
  }
  const result = await agent.restoreArchive(file, { password, force: flags.has('force'), signal });
  return {
    result: { ...result, store: home.store },
    lines: archiveRestoredLines(result, { home, style, commandLine }),
  };
}
