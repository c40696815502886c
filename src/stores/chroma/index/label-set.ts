import { damaged } from './byte-reader.ts';

const pageBits = 2 ** 16;
/** 64 MiB of pages, labels up to half a billion when they are dense, as those of every index are. */
const maxPages = 8192;

/**
 * A set of hnswlib labels in pages of one bit each. Chroma numbers labels from 1 without gaps and keeps deleted
 * elements in the index, so a page of 8 KiB holds 65536 of them.
 */
export class LabelSet {
  count = 0;
  readonly #pages = new Map<number, Uint8Array>();

  /** False when the label was there before. */
  add(label: number): boolean {
    const pageNumber = Math.floor(label / pageBits);
    let page = this.#pages.get(pageNumber);
    if (page === undefined) {
      if (this.#pages.size >= maxPages)
        throw damaged('the labels of its index are scattered over more numbers than any index uses');
      page = new Uint8Array(pageBits / 8);
      this.#pages.set(pageNumber, page);
    }
    const bit = label % pageBits;
    const mask = 1 << (bit & 7);
    if (((page[bit >> 3] as number) & mask) !== 0) return false;
    (page[bit >> 3] as number) |= mask;
    this.count += 1;
    return true;
  }

  has(label: number): boolean {
    const page = this.#pages.get(Math.floor(label / pageBits));
    const bit = label % pageBits;
    return page !== undefined && ((page[bit >> 3] as number) & (1 << (bit & 7))) !== 0;
  }
}
