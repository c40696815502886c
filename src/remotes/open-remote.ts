import type { Clock } from '../platform/clock.ts';
import type { Emit } from '../platform/events.ts';
import type { FileSystem } from '../platform/file-system.ts';
import type { RemoteSettings } from './registry.ts';
import type { Remote } from './remote.ts';
import { parseRemote } from './remote-url.ts';
import { retrying } from './wrappers/retrying-remote.ts';
import type { RetryEvent } from './wrappers/retrying-remote.ts';

export interface OpenRemoteOptions extends RemoteSettings {
  readonly clock: Clock;
  readonly emit: Emit;
  readonly fs: FileSystem;
}

export interface OpenedRemote {
  readonly remote: Remote;
  /** Bytes of the remote's own prefix: it counts towards the limit of a key. */
  readonly prefixBytes: number;
  /** Tells this remote from every other, of another endpoint too. For local state; holds no credential. */
  readonly remoteId: string;
  /** The directory of this host that the remote is in, if it is. */
  readonly directory?: string | undefined;
}

/** Opens what a URL names, with retries. Connects to nothing yet. */
export async function openRemote(
  url: string,
  { clock, emit, fs, ...settings }: OpenRemoteOptions,
): Promise<OpenedRemote> {
  const location = parseRemote(url);
  const onRetry = ({ operation, key, attempt, delayMs, error }: RetryEvent): void =>
    emit({ type: 'retry', operation, key, attempt, delayMs, message: error.message });
  const own = (settings as Readonly<Record<string, unknown>>)[location.kind.scheme];
  const { remote, retry, id, prefixBytes = 0 } = await location.open({ clock, fs, onRetry }, own);
  return {
    remote: retrying(remote, { ...retry, clock, onRetry }),
    prefixBytes,
    remoteId: id ?? remote.location,
    directory: location.directory,
  };
}
