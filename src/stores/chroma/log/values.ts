/**
 * A value of SQLite as JSON, exactly. A blob is hexadecimal, as SQLite itself writes it, so that a restore by hand needs no other tool.
 * What a JSON number cannot hold is text: integers beyond 2^53, and infinities.
 */
export type JsonValue =
  | string
  | number
  | null
  | { readonly blob: string }
  | { readonly integer: string }
  | { readonly real: string };
export type SqlValue = string | number | bigint | null | Buffer;

/** Of a statement with `safeIntegers`. */
export function toJson(value: unknown): JsonValue {
  if (value === null || typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : { real: String(value) };
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : { integer: String(value) };
  }
  if (Buffer.isBuffer(value)) return { blob: value.toString('hex') };
  throw new TypeError(`Cannot write a ${typeof value} of SQLite`);
}

export function fromJson(value: unknown): SqlValue {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value;
  const { blob, integer, real } = value as Partial<Record<'blob' | 'integer' | 'real', unknown>>;
  if (typeof blob === 'string' && blob.length % 2 === 0 && /^[0-9a-f]*$/.test(blob))
    return Buffer.from(blob, 'hex');
  if (typeof integer === 'string' && /^-?[0-9]{1,19}$/.test(integer)) return BigInt(integer);
  if (real === 'Infinity' || real === '-Infinity') return Number(real);
  throw new TypeError('a value is none that SQLite could have');
}
