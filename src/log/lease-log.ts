import * as z from 'zod';
import { isSyncAgentError, SyncAgentError } from '../platform/errors.ts';
import { collect, textBody } from '../remotes/body.ts';
import type { CallOptions, Remote } from '../remotes/remote.ts';
import { longestLabel } from './manifest.ts';
import { leaseKey, leasesPrefix, parseLeaseKey } from './layout.ts';

/**
 * The lease: create-only objects `leases/<number>.json`, of which the highest number counts. A host that takes, renews or
 * releases the lease creates the next number, so only one of several hosts succeeds. The number with which a host took the
 * lease is its epoch. Epochs are unique and grow, because the highest number is never deleted.
 */
const leaseFormat = 1;
const maxLeaseBytes = 64 * 1024;
export const maxLeaseMs = 24 * 60 * 60 * 1000;

const label = z.string().max(longestLabel);
const hex = z.string().regex(/^[0-9a-f]{32}$/);
const number = z.number().int().positive().max(Number.MAX_SAFE_INTEGER);

const leaseSchema = z.object({
  format: z.literal(leaseFormat),
  state: z.enum(['held', 'released']),
  /** The number of the object with which the host took the lease. */
  epoch: number,
  /** The lease has expired when its newest object is older than this, by the server's clock. */
  ttlMs: number.max(maxLeaseMs),
  /** By the holder's clock, for people. */
  acquiredAt: z.iso.datetime(),
  holder: z.object({ host: label, agent: label, session: hex }),
  /** Identifies the attempt to write this object. */
  uploadId: hex,
});

export type LeaseObject = z.infer<typeof leaseSchema>;

export interface LeaseView {
  /** The server's clock when the objects were listed. */
  readonly serverTime: Date;
  /** The lease. Undefined if no host ever took one. */
  readonly newest: ListedLease | undefined;
  /** The numbers of all objects, ascending. */
  readonly numbers: readonly number[];
}

export interface ListedLease {
  readonly number: number;
  readonly lastModified: Date;
  /** Undefined if the object is damaged. */
  readonly lease: LeaseObject | undefined;
}

/** If a listed object is gone, it was deleted since, and there are newer ones. They are then listed again, up to this often. */
const maxListings = 5;

/** Costs one listing, and one read unless the newest is `known`. TOO_NEW if a newer version wrote it. */
export async function readLeases(
  remote: Remote,
  options: CallOptions & { readonly known?: Pick<ListedLease, 'number' | 'lease'> | undefined } = {},
): Promise<LeaseView> {
  for (let tries = 1; ; tries += 1) {
    const { serverTime, objects } = await listLeases(remote, options);
    const numbers = objects.map((object) => object.number);
    const newest = objects.at(-1);
    if (newest === undefined) return { serverTime, newest, numbers };
    try {
      const lease =
        options.known?.number === newest.number
          ? options.known.lease
          : await readLease(remote, newest.number, options);
      return { serverTime, newest: { ...newest, lease }, numbers };
    } catch (error) {
      if (!isSyncAgentError(error, 'NOT_FOUND') || tries === maxListings) throw error;
    }
  }
}

/**
 * Creates a number, and resolves to whether it now holds `lease`. A lost answer is no failure: the object itself says whose it
 * is. A host that slept after its last listing may create a number that others have used and deleted in the meantime, so list
 * again before you rely on it.
 */
export async function createLease(
  remote: Remote,
  { number: next, lease }: { readonly number: number; readonly lease: LeaseObject },
  options: CallOptions = {},
): Promise<boolean> {
  const isOurs = async (): Promise<boolean> => {
    return (await readLease(remote, next, options))?.uploadId === lease.uploadId;
  };
  try {
    await remote.put(leaseKey(next), textBody(`${JSON.stringify(lease, null, 1)}\n`), {
      ifAbsent: true,
      contentType: 'application/json',
      signal: options.signal,
    });
    return true;
  } catch (error) {
    if (isSyncAgentError(error, 'ALREADY_EXISTS')) {
      return isOurs().catch((cause: unknown) => {
        if (isSyncAgentError(cause, 'NOT_FOUND')) return false;
        throw cause;
      });
    }
    if (isSyncAgentError(error, 'REMOTE_UNREACHABLE') && (await isOurs().catch(() => false))) return true;
    throw error;
  }
}

export async function removeLeases(
  remote: Remote,
  numbers: readonly number[],
  options: CallOptions = {},
): Promise<void> {
  await remote.remove(numbers.map(leaseKey), options);
}

async function listLeases(remote: Remote, { signal }: CallOptions) {
  const objects: Omit<ListedLease, 'lease'>[] = [];
  let serverTime = new Date(0);
  for await (const page of remote.list(leasesPrefix, { signal })) {
    serverTime = page.serverTime;
    for (const { key, lastModified } of page.objects) {
      const parsed = parseLeaseKey(key);
      if (parsed !== undefined) objects.push({ number: parsed, lastModified });
    }
  }
  return { serverTime, objects };
}

async function readLease(
  remote: Remote,
  wanted: number,
  { signal }: CallOptions,
): Promise<LeaseObject | undefined> {
  const key = leaseKey(wanted);
  const { body, size } = await remote.get(key, { signal });
  if (size > maxLeaseBytes) return undefined;
  const raw = parseJson((await collect(body, maxLeaseBytes)).toString('utf8'));
  const header = z.object({ format: number }).safeParse(raw);
  if (header.success && header.data.format > leaseFormat) {
    throw new SyncAgentError('TOO_NEW', `Cannot read the lease "${key}": it was written by a newer version`, {
      remedy: 'Install the newest sync-agent on this host',
    });
  }
  const parsed = leaseSchema.safeParse(raw);
  return parsed.success && parsed.data.epoch <= wanted ? parsed.data : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
