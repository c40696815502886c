import * as z from 'zod';
import { isSyncAgentError, SyncAgentError } from '../platform/errors.ts';
import { collect, textBody } from '../remotes/body.ts';
import type { Remote } from '../remotes/remote.ts';
import { longestLabel } from './manifest.ts';
import { leaseKey, leasesPrefix, parseLeaseKey } from './layout.ts';

/**
 * The lease: `leases/<number>.json`, create-only objects of which the highest number counts. Taking the lease,
 * renewing it and giving it back each create the next number, so of any number of hosts exactly one succeeds. The
 * number that took it is its epoch: unique and growing, since the highest number is never deleted.
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
  /** The number of the object that took it. */
  epoch: number,
  /** It is over when the server's clock says that its newest object is older. */
  ttlMs: number.max(maxLeaseMs),
  /** By the holder's clock, for people. */
  acquiredAt: z.iso.datetime(),
  holder: z.object({ host: label, agent: label, session: hex }),
  /** Names the attempt to write this object. */
  uploadId: hex,
});

export type LeaseObject = z.infer<typeof leaseSchema>;

export interface LeaseView {
  /** The server's clock when the objects were listed. */
  readonly serverTime: Date;
  /** The lease; undefined where nobody ever took one. */
  readonly newest: ListedLease | undefined;
  /** Of all objects, ascending. */
  readonly numbers: readonly number[];
}

export interface ListedLease {
  readonly number: number;
  readonly lastModified: Date;
  /** Undefined when the object is damaged. */
  readonly lease: LeaseObject | undefined;
}

interface Options {
  readonly signal?: AbortSignal | undefined;
}

/** A listed object that is gone was swept since, so there are newer ones. So often it is listed again. */
const listings = 5;

/** One listing, and one read unless the newest is `known`. TOO_NEW when a newer version wrote it. */
export async function readLeases(
  remote: Remote,
  options: Options & { readonly known?: Pick<ListedLease, 'number' | 'lease'> | undefined } = {},
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
      if (!isSyncAgentError(error, 'NOT_FOUND') || tries === listings) throw error;
    }
  }
}

/**
 * Creates a number; resolves to whether it is `lease`. A lost answer is no failure: the object itself tells whose it
 * is. Who slept since the last listing may have created a number that others used and swept meanwhile: list
 * again before relying on it.
 */
export async function createLease(
  remote: Remote,
  { number: next, lease }: { readonly number: number; readonly lease: LeaseObject },
  options: Options = {},
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
  options: Options = {},
): Promise<void> {
  await remote.remove(numbers.map(leaseKey), options);
}

async function listLeases(remote: Remote, { signal }: Options) {
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
  { signal }: Options,
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
