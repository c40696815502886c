import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { journalPath, rollbackRoot, stagingRoot } from '../../../src/home/home.ts';
import type { Home } from '../../../src/home/home.ts';
import { recover } from '../../../src/home/swap.ts';

/** As version 0.1.0 wrote it: neither the way nor a phase. */
const journal = {
  format: 1,
  type: 'swap',
  from: { type: 'staging', name: 'attempt' },
  rollback: '2026-11-21T11-30-05.123Z-00000000',
  keepRollback: true,
  entries: 2,
  placement: '',
  location: 'file:///remote',
  parent: { id: '2026-11-21T11-00-00.000Z-11111111', generation: 3, lastModifiedMs: 0 },
  settled: [],
};

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sync-agent-old-journal-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function homeOf(swap: Home['swap']): Home {
  const store = join(root, 'store');
  return {
    store,
    swap,
    dir: swap === 'rename' ? join(root, '.store.sync-agent') : join(store, '.sync-agent'),
  };
}

function write(dir: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
}

const read = (dir: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => [name, readFileSync(join(dir, name), 'utf8')]),
  );

describe('a journal of an older version', () => {
  it.each([
    [
      'rename',
      'the old store was away',
      { store: undefined, aside: { a: 'old', b: 'old' }, data: { a: 'new', b: 'new' } },
    ],
    [
      'entries',
      'an old entry was away',
      { store: { b: 'old' }, aside: { a: 'old' }, data: { a: 'new', b: 'new' } },
    ],
    [
      'entries',
      'all old entries were away',
      { store: {}, aside: { a: 'old', b: 'old' }, data: { a: 'new', b: 'new' } },
    ],
    [
      'entries',
      'the first new entry was in',
      { store: { a: 'new' }, aside: { a: 'old', b: 'old' }, data: { b: 'new' } },
    ],
  ] as const)('of a %s swap is finished when %s', async (swap, _, state) => {
    const home = homeOf(swap);
    if (state.store !== undefined) write(home.store, { ...state.store, '.sync-agent/x': '' });
    write(join(stagingRoot(home), 'attempt', 'data'), state.data);
    write(join(rollbackRoot(home), journal.rollback), state.aside);
    writeFileSync(journalPath(home), JSON.stringify(journal));
    expect(await recover(nodeFileSystem, home, { rollbackCopies: 3 })).toBeUndefined();
    expect(read(home.store)).toEqual({ a: 'new', b: 'new' });
    expect(read(join(rollbackRoot(home), journal.rollback))).toEqual({ a: 'old', b: 'old' });
    expect(readdirSync(home.dir)).not.toContain('journal.json');
  });

  it('of a swap that had not begun is forgotten', async () => {
    const home = homeOf('rename');
    write(home.store, { a: 'old' });
    write(join(stagingRoot(home), 'attempt', 'data'), { a: 'new', b: 'new' });
    writeFileSync(journalPath(home), JSON.stringify(journal));
    await recover(nodeFileSystem, home, { rollbackCopies: 3 });
    expect(read(home.store)).toEqual({ a: 'old' });
  });
});
