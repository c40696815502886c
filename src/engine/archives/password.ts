import { SyncAgentError } from '../../platform/errors.ts';

/** An empty one would encrypt nothing that anybody could not read. */
export function assertPassword(password: string | undefined): void {
  if (password !== '') return;
  throw new SyncAgentError('USAGE', 'Cannot use an empty password', {
    remedy: 'Put one into the file or the variable, or leave both out',
  });
}
