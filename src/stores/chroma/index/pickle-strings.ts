import { ByteReader, damaged } from './byte-reader.ts';

/** 256 MiB of offsets. */
const maxMemo = 2 ** 26;
const memoPage = 2 ** 16;
/** References mostly come in the order of what they refer to: a small window is enough. */
const windowBytes = 16 * 1024;

/** `bytes[start, end)` is a string, valid during the call. */
export type UseText = (bytes: Buffer, start: number, end: number) => void;

/**
 * The strings of a pickle that were read already, by the place of their opcode in the file: reading one again costs
 * time, holding millions would cost memory. The memo numbers them as the pickle does, in 4 bytes each.
 */
export class PickleStrings {
  readonly #reader: ByteReader;
  readonly #memo: (Uint32Array | Float64Array)[] = [];
  #count = 0;

  constructor(path: string, label: string) {
    this.#reader = new ByteReader(path, label, windowBytes);
  }

  /** How many things the pickle has numbered. */
  get count(): number {
    return this.#count;
  }

  /** Numbers what stands at `at`, 0 for what is no string. */
  put(index: number, at: number): void {
    const { label, size } = this.#reader;
    // Every pickler counts; a number far out would make room for all those below it.
    if (index !== this.#count) throw damaged(`${label} numbers its strings out of order`);
    if (index >= maxMemo)
      throw damaged(`${label} has more than ${maxMemo} strings, more than can be checked`);
    const Page = size < 2 ** 32 ? Uint32Array : Float64Array;
    (this.#memo[Math.floor(index / memoPage)] ??= new Page(memoPage))[index % memoPage] = at;
    this.#count += 1;
  }

  /** Where the string of that number stands. */
  get(index: number): number {
    const at = index < this.#count ? this.#memo[Math.floor(index / memoPage)]?.[index % memoPage] : undefined;
    if (at === undefined || at === 0)
      throw damaged(`${this.#reader.label} refers to what is not an earlier string`);
    return at;
  }

  read(at: number, use: UseText): void {
    const reader = this.#reader;
    reader.seek(at);
    const op = reader.u8();
    const length = op === 0x8c ? reader.u8() : op === 0x58 ? reader.u32() : reader.u64();
    const start = reader.take(length);
    use(reader.bytes, start, start + length);
  }

  textAt(at: number): string {
    let text = '';
    this.read(at, (bytes, start, end) => (text = bytes.toString('utf8', start, end)));
    return text;
  }

  close(): void {
    this.#reader.close();
  }
}
