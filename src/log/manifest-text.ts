import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import * as z from 'zod';
import { SyncAgentError } from '../platform/errors.ts';
import type { Body } from '../remotes/remote.ts';
import { firstProblem, schemaOf } from './manifest.ts';
import type { Manifest } from './manifest.ts';

/** A manifest of 100,000 files has about 20 MB. A larger one than this is not ours. */
export const maxManifestBytes = 256 * 1024 * 1024;

/**
 * The manifest as it is stored: JSON, one line per scalar. The last member is `checksum`, the SHA-256 of the same JSON without
 * that member. It detects damage of the manifest itself. Each file has a checksum of its own.
 */
export function encodeManifest(manifest: Manifest): string {
  return Buffer.concat(encodedChunks(manifest)).toString('utf8');
}

const bodies = new WeakMap<Manifest, Body>();

/**
 * The same as a body, without the whole text in one piece: it has 20 MB for 100,000 files. A manifest is never changed, so all that
 * ask for one share its body.
 */
export function manifestBody(manifest: Manifest): Body {
  const body = bodies.get(manifest) ?? encodedBody(manifest);
  bodies.set(manifest, body);
  return body;
}

function encodedBody(manifest: Manifest): Body {
  const chunks = encodedChunks(manifest);
  const size = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  return {
    size,
    open: async function* (range = { start: 0, end: size }) {
      let position = 0;
      for (const chunk of chunks) {
        const [start, end] = [Math.max(range.start - position, 0), range.end - position];
        if (start < chunk.byteLength && end > 0) yield chunk.subarray(start, end);
        position += chunk.byteLength;
      }
    },
  };
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

function encodedChunks(manifest: Manifest): Uint8Array[] {
  const hash = createHash('sha256');
  const chunks: Uint8Array[] = [];
  let text = '';
  for (const piece of jsonMembers(manifest)) {
    text += piece;
    if (text.length < chunkLength) continue;
    chunks.push(hashed(text, hash));
    text = '';
  }
  chunks.push(hashed(text, hash));
  const checksum = hash.update(jsonEnd).digest('hex');
  const last = chunks.pop() ?? Buffer.alloc(0);
  return [...chunks, Buffer.concat([last, Buffer.from(`,\n "checksum": "${checksum}"${jsonEnd}`)])];
}

function hashed(text: string, hash: Hash): Uint8Array {
  const bytes = Buffer.from(text, 'utf8');
  hash.update(bytes);
  return bytes;
}

/** Characters of text that are encoded at once. */
const chunkLength = 64 * 1024;
/** Elements of an array that become text at once. */
const sliceLength = 250;
const jsonEnd = '\n}\n';

/**
 * The text of `JSON.stringify(value, null, 1)` and a line feed, without `jsonEnd`, in pieces. `value` has a member at least.
 * A long array is never text as a whole.
 */
function* jsonMembers(value: object): Generator<string> {
  let separator = '{';
  for (const [key, member] of Object.entries(value) as [string, unknown][]) {
    if (member === undefined) continue;
    yield `${separator}\n ${JSON.stringify(key)}: `;
    separator = ',';
    if (!Array.isArray(member) || member.length <= sliceLength) {
      yield indented(JSON.stringify(member, null, 1));
      continue;
    }
    for (let start = 0; start < member.length; start += sliceLength) {
      const slice = JSON.stringify(member.slice(start, start + sliceLength), null, 1);
      yield `${start === 0 ? '[' : ','}${indented(slice.slice(1, -2))}`;
    }
    yield '\n ]';
  }
}

/** No string in JSON has a line feed, so that each one begins a line. */
const indented = (json: string): string => json.replaceAll('\n', '\n ');

function checksumOf(value: object): string {
  const hash = createHash('sha256');
  for (const piece of jsonMembers(value)) hash.update(piece);
  return hash.update(jsonEnd).digest('hex');
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
