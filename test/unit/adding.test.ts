import { describe, expect, it } from 'vitest';
import { brokenLinks, readDocument } from '../support/documents.ts';

/** The pages show each file as it would stand in its room; the tests run it from here. */
const pages = [
  { page: 'docs/adding-a-remote.md', folder: 'src/remotes/sqlite', runs: 'test/support/sqlite-remote' },
  { page: 'docs/adding-a-store.md', folder: 'src/stores/ledger', runs: 'test/support/ledger-store' },
];

const block = /^`(?<path>src\/[^`]+\.ts)`:\n\n```ts\n(?<code>.*?)^```$/gms;

/** A file of the tests, with the imports that it has in a folder of `room`. */
function asInRoom(file: string, room: string): string {
  return readDocument(file).replaceAll(`../../../src/${room}/`, '../').replaceAll('../../../src/', '../../');
}

describe.each(pages)('$page', ({ page, folder, runs }) => {
  const text = readDocument(page);

  it('shows whole files, as the tests run them', () => {
    const blocks = [...text.matchAll(block)].map(({ groups }) => groups);
    expect(blocks.length).toBeGreaterThan(0);
    for (const { path = '', code } of blocks.map((groups) => groups ?? {})) {
      expect(path.startsWith(`${folder}/`)).toBe(true);
      expect(code).toBe(asInRoom(path.replace(folder, runs), folder.split('/')[1] ?? ''));
    }
  });

  it('links to what there is', () => {
    expect(brokenLinks(page)).toEqual([]);
  });
});
