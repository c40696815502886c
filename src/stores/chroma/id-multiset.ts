import { randomBytes } from 'node:crypto';

/** Four 32-bit lanes; filled by `hashId`. */
export type IdHash = Uint32Array;

export function newIdHash(): IdHash {
  return new Uint32Array(4);
}

/** A new seed for every process: no file can be made to collide on purpose. */
const processSeed = randomBytes(4).readUInt32LE(0);

/**
 * MurmurHash3_x86_128 (Austin Appleby, public domain, github.com/aappleby/smhasher) of `bytes[start, end)`. A
 * tenth of the cost of SHA-256 by `crypto.hash` for the short ids it is made for.
 */
export function hashId(bytes: Uint8Array, start: number, end: number, out: IdHash, seed = processSeed): void {
  const length = end - start;
  const blocks = start + (length & ~15);
  let h1 = seed;
  let h2 = seed;
  let h3 = seed;
  let h4 = seed;
  for (let i = start; i < blocks; i += 16) {
    h1 ^= Math.imul(rotate(Math.imul(word(bytes, i), c1), 15), c2);
    h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotate(Math.imul(word(bytes, i + 4), c2), 16), c3);
    h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotate(Math.imul(word(bytes, i + 8), c3), 17), c4);
    h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotate(Math.imul(word(bytes, i + 12), c4), 18), c1);
    h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  h4 ^= Math.imul(rotate(Math.imul(tail(bytes, blocks + 12, end), c4), 18), c1);
  h3 ^= Math.imul(rotate(Math.imul(tail(bytes, blocks + 8, end), c3), 17), c4);
  h2 ^= Math.imul(rotate(Math.imul(tail(bytes, blocks + 4, end), c2), 16), c3);
  h1 ^= Math.imul(rotate(Math.imul(tail(bytes, blocks, end), c1), 15), c2);
  h1 ^= length;
  h2 ^= length;
  h3 ^= length;
  h4 ^= length;
  const mixed = (h1 + h2 + h3 + h4) | 0;
  h2 = finish(h2 + mixed);
  h3 = finish(h3 + mixed);
  h4 = finish(h4 + mixed);
  h1 = (finish(mixed) + h2 + h3 + h4) | 0;
  out[0] = h1;
  out[1] = h2 + h1;
  out[2] = h3 + h1;
  out[3] = h4 + h1;
}

/**
 * A set of ids as a count and the lane-wise sum of their 128-bit hashes: 24 bytes whatever its size, equal whatever
 * the order. Two different sets of equal size, not chosen with the process's seed in hand, compare equal with
 * probability 2^-128.
 */
export class IdMultiset {
  count = 0;
  readonly #sum = newIdHash();

  add(hash: IdHash): void {
    this.count += 1;
    for (let lane = 0; lane < 4; lane++) (this.#sum[lane] as number) += hash[lane] as number;
  }

  equals(other: IdMultiset): boolean {
    return this.count === other.count && this.#sum.every((value, lane) => value === other.#sum[lane]);
  }
}

const c1 = 0x239b961b;
const c2 = 0xab0e9789;
const c3 = 0x38b34ae5;
const c4 = 0xa1e38b93;

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/** Up to four bytes at `at`, zero where the item has ended. */
function tail(bytes: Uint8Array, at: number, end: number): number {
  let value = 0;
  for (let i = Math.min(end, at + 4) - 1; i >= at; i--) value = (value << 8) | (bytes[i] as number);
  return value;
}

function finish(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
