import { createHash } from 'node:crypto';
import * as z from 'zod';
import { SyncAgentError } from '../platform/errors.ts';
import { firstProblem, schemaOf } from './manifest.ts';
import type { Manifest } from './manifest.ts';

/** A manifest of 100,000 files has about 20 MB. A larger one than this is not ours. */
export const maxManifestBytes = 256 * 1024 * 1024;

/**
 * The manifest as it is stored: JSON, one line per scalar. The last member is `checksum`, the SHA-256 of the same JSON without
 * that member. It detects damage of the manifest itself. Each file has a checksum of its own.
 */
export function encodeManifest(manifest: Manifest): string {
  return stringify({ ...manifest, checksum: checksumOf(manifest) });
}

/**
 * Reads what `encodeManifest` wrote, if its format is one of `readable`. Any other format is refused with TOO_NEW,
 * everything else with SNAPSHOT_CORRUPT. The error names `key`.
 */
export function decodeManifest(text: string, key: string, readable: readonly number[]): Manifest {
  const fail = (why: string, cause?: unknown): SyncAgentError =>
    new SyncAgentError('SNAPSHOT_CORRUPT', `Cannot read manifest "${key}": ${why}`, { cause });
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw fail('it is not JSON', error);
  }
  const header = z.object({ format: z.number() }).safeParse(raw);
  const format = header.success ? header.data.format : 1;
  const isUnknown = Number.isInteger(format) && format > 1 && !readable.includes(format);
  // One flipped bit in the format number must not look like a newer version: that would stop every reader. It is damage.
  const isFlipped =
    isUnknown &&
    readable.some(
      (known) =>
        isOneBitApart(String(format), String(known)) && hasChecksum({ ...(raw as object), format: known }),
    );
  if (isUnknown && !isFlipped) {
    throw new SyncAgentError(
      'TOO_NEW',
      `Cannot read manifest "${key}": format ${format} was written by a newer version, this one reads ${readable.join(', ')}`,
      { remedy: 'Install the newest sync-agent on this host' },
    );
  }
  const parsed = schemaOf(isUnknown ? 1 : format).safeParse(raw);
  if (!parsed.success) throw fail(firstProblem(parsed.error));
  if (!hasChecksum(raw as object)) throw fail(`its checksum does not match`);
  return parsed.data;
}

function stringify(value: object): string {
  return `${JSON.stringify(value, null, 1)}\n`;
}

function checksumOf(value: object): string {
  return createHash('sha256').update(stringify(value)).digest('hex');
}

function hasChecksum(raw: object): boolean {
  const { checksum, ...rest } = raw as Record<string, unknown>;
  try {
    return checksum === checksumOf(rest);
  } catch {
    // Unknown members may be nested too deep for the stack. This program never wrote such a manifest.
    return false;
  }
}

function isOneBitApart(a: string, b: string): boolean {
  if (a.length !== 1 || b.length !== 1) return false;
  const difference = a.charCodeAt(0) ^ b.charCodeAt(0);
  return difference !== 0 && (difference & (difference - 1)) === 0;
}
