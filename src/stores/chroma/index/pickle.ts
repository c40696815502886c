import { ByteReader, damaged } from './byte-reader.ts';
import { PickleStrings } from './pickle-strings.ts';

/** The maps of Chroma's index metadata. */
export type PickleMap = 'id_to_label' | 'label_to_id' | 'id_to_seq_id';
export type EntryPart = 'key' | 'value';

export interface PickleVisitor {
  /** A plain attribute, `null` for None. */
  attribute(name: string, value: number | null): void;
  /** `bytes[start, end)` is a string key or value of `map`, valid during the call. */
  text(map: PickleMap, part: EntryPart, bytes: Buffer, start: number, end: number): void;
  number(map: PickleMap, part: EntryPart, value: number): void;
}

type Item =
  | { readonly type: 'mark' | 'none' | 'module' | 'class' | 'tuple' | 'instance' | 'root' | 'built' }
  | { readonly type: 'number'; readonly value: number }
  /** Where in the file the string's opcode stands. */
  | { readonly type: 'text'; readonly at: number }
  | { readonly type: 'map'; readonly name: PickleMap };

const maps: readonly PickleMap[] = ['id_to_label', 'label_to_id', 'id_to_seq_id'];
const module = 'chromadb.segment.impl.vector.local_persistent_hnsw';
const className = 'PersistentData';
const maxTextBytes = 16 * 2 ** 20;
const maxStack = 256;

/**
 * Reads `index_metadata.pickle` to its STOP and reports what it holds, executing nothing and keeping nothing but
 * the file offsets of memoized strings (4 bytes each; only Python-era files have them).
 *
 * The format is Python's pickle (Lib/pickletools.py), of which Chroma's two writers use little: serde_pickle
 * writes protocol 3, one dict of plain attributes and three dicts, each between one MARK and one SETITEMS however
 * long (rust/segment/src/local_hnsw.rs, `IdMap`); Python wrote protocol 4 or 5, an instance of `PersistentData`
 * whose dicts come in batches of 1000 and whose ids are memoized in the first dict and referred to from the others
 * (chromadb/segment/impl/vector/local_persistent_hnsw.py). Anything else throws STORE_CORRUPT.
 */
export function readPickle(path: string, label: string, visitor: PickleVisitor): void {
  const reader = new ByteReader(path, label);
  try {
    const strings = new PickleStrings(path, label);
    try {
      new PickleMachine(reader, strings, visitor).run();
    } finally {
      strings.close();
    }
  } finally {
    reader.close();
  }
}

/** The pickle machine, except that the entries of a map are handed on as they come instead of waiting on the stack. */
class PickleMachine {
  readonly #reader: ByteReader;
  readonly #strings: PickleStrings;
  readonly #visitor: PickleVisitor;
  readonly #stack: Item[] = [];
  readonly #seen = new Set<PickleMap>();
  /** What a MEMOIZE that follows would number: the offset of a string, 0 for anything else. */
  #last = 0;
  #at = 0;
  /** The map whose MARK is on top of the stack, and which half of an entry comes next. */
  #open: PickleMap | undefined;
  #part: EntryPart = 'key';

  constructor(reader: ByteReader, strings: PickleStrings, visitor: PickleVisitor) {
    this.#reader = reader;
    this.#strings = strings;
    this.#visitor = visitor;
  }

  run(): void {
    const reader = this.#reader;
    if (reader.u8() !== 0x80 || reader.u8() > 5) throw this.#bad('does not start as a pickle');
    for (;;) {
      this.#at = reader.position;
      const op = reader.u8();
      if (op === 0x2e) break;
      this.#step(op);
    }
    const [result] = this.#stack;
    if (this.#stack.length !== 1 || (result?.type !== 'root' && result?.type !== 'built')) {
      throw this.#bad('does not hold the index metadata of Chroma');
    }
    if (reader.remaining > 0) throw this.#bad(`has ${reader.remaining} bytes behind its end`);
    for (const name of maps) if (!this.#seen.has(name)) throw this.#bad(`has no "${name}"`);
  }

  // prettier-ignore
  #step(op: number): void {
    const reader = this.#reader;
    switch (op) {
      case 0x95: return reader.skip(8); // FRAME
      case 0x58: return this.#text(reader.u32()); // BINUNICODE
      case 0x8c: return this.#text(reader.u8()); // SHORT_BINUNICODE
      case 0x8d: return this.#text(reader.u64()); // BINUNICODE8
      case 0x4a: return this.#number(reader.i32()); // BININT
      case 0x4b: return this.#number(reader.u8()); // BININT1
      case 0x4d: return this.#number(reader.u16()); // BININT2
      case 0x8a: return this.#number(this.#long(reader.u8())); // LONG1
      case 0x4e: return this.#push({ type: 'none' }); // NONE
      case 0x68: return this.#get(this.#strings.get(reader.u8())); // BINGET
      case 0x6a: return this.#get(this.#strings.get(reader.u32())); // LONG_BINGET
      case 0x94: return this.#strings.put(this.#strings.count, this.#last); // MEMOIZE
      case 0x71: return this.#strings.put(reader.u8(), this.#last); // BINPUT
      case 0x72: return this.#strings.put(reader.u32(), this.#last); // LONG_BINPUT
      case 0x7d: return this.#dict(); // EMPTY_DICT
      case 0x28: return this.#mark(); // MARK
      case 0x75: return this.#setItems(); // SETITEMS
      case 0x73: return this.#setItem(); // SETITEM
      case 0x93: return this.#global(); // STACK_GLOBAL
      case 0x29: return this.#push({ type: 'tuple' }); // EMPTY_TUPLE
      case 0x81: return this.#replace(['class', 'tuple'], { type: 'instance' }); // NEWOBJ
      case 0x62: return this.#replace(['instance', 'root'], { type: 'built' }); // BUILD
      default: throw this.#bad(`has opcode 0x${op.toString(16)}, which Chroma never writes`);
    }
  }

  #text(length: number): void {
    if (length > maxTextBytes) throw this.#bad('has an implausibly long string');
    const start = this.#reader.take(length);
    this.#last = this.#at;
    if (this.#open === undefined) this.#push({ type: 'text', at: this.#at }, this.#at);
    else this.#entryText(this.#open, this.#reader.bytes, start, start + length);
  }

  #number(value: number): void {
    if (this.#open === undefined) return this.#push({ type: 'number', value });
    this.#last = 0;
    this.#visitor.number(this.#open, this.#part, value);
    this.#nextPart();
  }

  /** A two's complement integer of up to 8 bytes. */
  #long(length: number): number {
    if (length > 8) throw this.#bad('has an implausibly large number');
    const start = this.#reader.take(length);
    let value = 0n;
    for (let i = start + length - 1; i >= start; i--)
      value = (value << 8n) | BigInt(this.#reader.bytes[i] ?? 0);
    return Number(BigInt.asIntN(length * 8, value));
  }

  #get(at: number): void {
    this.#last = at;
    if (this.#open === undefined) return this.#push({ type: 'text', at }, at);
    // Nothing of this map's keys matters here, and looking them up is slow.
    if (this.#open === 'id_to_seq_id') return this.#nextPart();
    const map = this.#open;
    this.#strings.read(at, (bytes, start, end) => this.#entryText(map, bytes, start, end));
  }

  #dict(): void {
    const map = this.#mapNamedByTop();
    if (map !== undefined) {
      if (this.#seen.has(map)) throw this.#bad(`has "${map}" twice`);
      this.#seen.add(map);
      this.#push({ type: 'map', name: map });
    } else if (this.#stack.length === 0 || (this.#stack.length === 1 && this.#top()?.type === 'instance')) {
      this.#push({ type: 'root' });
    } else throw this.#bad('has a dict in an unexpected place');
  }

  /** Which map an EMPTY_DICT begins: its attribute's name is what stands below it. */
  #mapNamedByTop(): PickleMap | undefined {
    const key = this.#top();
    const name = key?.type === 'text' ? this.#strings.textAt(key.at) : undefined;
    return maps.find((each) => each === name);
  }

  #mark(): void {
    const below = this.#top();
    if (below?.type !== 'map' && below?.type !== 'root') throw this.#bad('has a MARK in an unexpected place');
    this.#push({ type: 'mark' });
    if (below.type === 'map') this.#open = below.name;
  }

  #setItems(): void {
    if (this.#open !== undefined) {
      if (this.#part === 'value') throw this.#bad(`has a key without a value in "${this.#open}"`);
      this.#open = undefined;
      this.#stack.pop();
      return;
    }
    const from = this.#stack.findLastIndex((item) => item.type === 'mark');
    if (from < 1 || this.#stack[from - 1]?.type !== 'root') throw this.#bad('closes a dict that is not open');
    const items = this.#stack.splice(from).slice(1);
    for (let i = 0; i < items.length; i += 2) this.#attribute(items[i], items[i + 1]);
  }

  /** One entry without a MARK, as Python writes the last of a batch of one. */
  #setItem(): void {
    const [target, key, value] = this.#stack.splice(-3);
    if (target === undefined || key === undefined || value === undefined)
      throw this.#bad('sets an item of nothing');
    this.#stack.push(target);
    if (target.type === 'root') return this.#attribute(key, value);
    if (target.type !== 'map') throw this.#bad('sets an item of what is not a dict');
    for (const [part, item] of [
      ['key', key],
      ['value', value],
    ] as const) {
      // prettier-ignore
      if (item.type === 'number') this.#visitor.number(target.name, part, item.value);
      else if (item.type === 'text') {
        this.#strings.read(item.at, (bytes, start, end) => this.#visitor.text(target.name, part, bytes, start, end));
      } else throw this.#bad(`has neither a number nor a string in "${target.name}"`);
    }
  }

  #attribute(key: Item | undefined, value: Item | undefined): void {
    if (key?.type !== 'text') throw this.#bad('has an attribute without a name');
    const name = this.#strings.textAt(key.at);
    if (value?.type === 'map' ? value.name !== name : value?.type !== 'number' && value?.type !== 'none') {
      throw this.#bad(`has an unexpected "${name}"`);
    }
    if (value?.type === 'number') this.#visitor.attribute(name, value.value);
    else if (value?.type === 'none') this.#visitor.attribute(name, null);
  }

  #global(): void {
    const [module_, name] = this.#stack.splice(-2);
    const isOurs =
      module_?.type === 'text' && name?.type === 'text' && this.#strings.textAt(module_.at) === module && this.#strings.textAt(name.at) === className; // prettier-ignore
    if (!isOurs) throw this.#bad('names a class that Chroma never writes');
    this.#push({ type: 'class' });
  }

  #replace(expected: readonly Item['type'][], result: Item): void {
    const items = this.#stack.splice(-expected.length);
    if (expected.some((type, i) => items[i]?.type !== type))
      throw this.#bad('is put together in an unexpected way');
    this.#push(result);
  }

  #push(item: Item, memoizes = 0): void {
    if (this.#open !== undefined) throw this.#bad(`has neither a number nor a string in "${this.#open}"`);
    if (this.#stack.length >= maxStack) throw this.#bad('is nested too deeply');
    this.#last = memoizes;
    this.#stack.push(item);
  }

  #entryText(map: PickleMap, bytes: Buffer, start: number, end: number): void {
    this.#visitor.text(map, this.#part, bytes, start, end);
    this.#nextPart();
  }

  #nextPart(): void {
    this.#part = this.#part === 'key' ? 'value' : 'key';
  }

  #top(): Item | undefined {
    return this.#stack.at(-1);
  }

  #bad(what: string): Error {
    return damaged(`${this.#reader.label} ${what}`);
  }
}
