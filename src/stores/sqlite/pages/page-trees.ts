import { pageType, startOf } from './page-file.ts';
import type { PageFile } from './page-file.ts';

/** Adds to `seen` the pages of the trees with these roots, as far as they hang together. */
export function addPagesOfTrees(file: PageFile, roots: Iterable<number>, seen: Set<number>): void {
  const due = [...roots];
  for (let number = due.pop(); number !== undefined; number = due.pop()) {
    if (seen.has(number)) continue;
    const page = file.page(number);
    if (page === undefined) continue;
    seen.add(number);
    due.push(...childrenOf(page, startOf(number)));
  }
}

/** The pages below an interior page; none below any other. */
export function childrenOf(page: Buffer, start: number): readonly number[] {
  const type = page[start];
  if (type !== pageType.tableInterior && type !== pageType.indexInterior) return [];
  const cells = Math.min(page.readUInt16BE(start + 3), Math.floor((page.length - start - 12) / 2));
  const children = [page.readUInt32BE(start + 8)];
  for (let i = 0; i < cells; i++) {
    const at = page.readUInt16BE(start + 12 + 2 * i);
    if (at + 4 <= page.length) children.push(page.readUInt32BE(at));
  }
  return children;
}

/** Adds the pages that the file lists as free: they hold rows that were deleted (sqlite.org/fileformat2.html, 1.5). */
export function addFreePages(file: PageFile, seen: Set<number>): void {
  const trunks = new Set<number>();
  let trunk = file.page(1)?.readUInt32BE(32) ?? 0;
  while (trunk !== 0 && !trunks.has(trunk)) {
    const page = file.page(trunk);
    if (page === undefined) return;
    trunks.add(trunk);
    seen.add(trunk);
    const count = Math.min(page.readUInt32BE(4), page.length / 4 - 2);
    for (let i = 0; i < count; i++) seen.add(page.readUInt32BE(8 + 4 * i));
    trunk = page.readUInt32BE(0);
  }
}
