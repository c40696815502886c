import { SyncAgentError } from '../platform/errors.ts';
import type { GivenFlags } from './flags.ts';

/** The URL that --chroma gives. USAGE without it: `what` cannot be done. */
export function serverNamed(flags: GivenFlags, what: string): string {
  const url = flags.text('chroma');
  if (url !== undefined) return url;
  throw new SyncAgentError('USAGE', `Cannot ${what} without a server`, {
    remedy: 'Add --chroma URL, such as --chroma http://127.0.0.1:8000',
  });
}
