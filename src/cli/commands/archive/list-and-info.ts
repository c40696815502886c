import { exitCodes } from '../../../platform/errors.ts';
import { infoLines, listingLines } from '../../text/archive-lines.ts';
import type { Invocation, Outcome } from '../command.ts';
import { passwordOf } from './password.ts';

export async function list({ agent, signal, style }: Invocation, dir: string): Promise<Outcome> {
  const result = await agent.listArchives(dir, { signal });
  return {
    result,
    lines: listingLines(result, style),
    exitCode: result.unreadable.length === 0 ? 0 : exitCodes.SNAPSHOT_CORRUPT,
  };
}

export async function info({ agent, flags, signal, style }: Invocation, file: string): Promise<Outcome> {
  const result = await agent.archiveInfo(file, { password: await passwordOf(flags), signal });
  return { result, lines: infoLines(result, style) };
}
