import { afterEach, beforeEach, expect, it } from 'vitest';
import { withHooks } from '../../../src/hooks/with-hooks.ts';
import type { RequestCounts } from '../../../src/platform/events.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { readDocument } from '../../support/documents.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

const kinds = ['put', 'copy', 'get', 'list', 'remove'] as const;
type Counts = Readonly<Record<(typeof kinds)[number], number>>;

const files = { 'a.txt': 'one', 'b.txt': 'two', 'c/d.txt': 'three', 'c/e.txt': 'four', 'f.txt': 'five' };
const changed = { 'a.txt': 'another one', 'c/d.txt': 'another three' };

let host: Host;
let before: RequestCounts;
beforeEach(async () => {
  host = await makeHost({ remote: createMemoryRemote({ now: Date.now }) });
  await host.write(files);
  before = host.agent.counts();
});
afterEach(() => host.remove());

function since(): Counts {
  const now = host.agent.counts();
  const counts = Object.fromEntries(
    kinds.map((kind) => [kind, now[kind] - before[kind]]),
  ) as unknown as Counts;
  before = now;
  return counts;
}

/** A row of the table "Requests" in docs/architecture.md, for the store of this test. */
function documented(operation: string): Counts {
  const row = readDocument('docs/architecture.md')
    .split('\n')
    .find((line) => line.startsWith(`| ${operation} |`));
  if (row === undefined) throw new Error(`docs/architecture.md has no row "${operation}"`);
  const [, ...cells] = row.slice(1, -1).split('|');
  const known: Readonly<Record<string, number>> = {
    '*n*': Object.keys(files).length,
    '*c*': Object.keys(changed).length,
  };
  const [put = 0, copy = 0, get = 0, list = 0, remove = 0] = cells.map((cell) =>
    cell.split('+').reduce((sum, term) => sum + (known[term.trim()] ?? (Number.parseInt(term, 10) || 0)), 0),
  );
  return { put, copy, get, list, remove };
}

it('a backup, a restore and the questions cost what docs/architecture.md says', async () => {
  await host.agent.backup();
  expect(since()).toEqual(documented('first backup'));

  await host.agent.backup();
  expect(since()).toEqual(documented('backup, nothing changed'));

  const hooks = { beforeBackup: 'true', afterBackup: 'true', beforeRestore: 'true', afterRestore: 'true' };
  for (const agent of [
    host.agent,
    withHooks(host.agent, hooks, { store: host.store, remote: 'file:///x' }),
  ]) {
    await agent.sync();
    expect(since()).toEqual(documented('sync, nothing changed, with hooks or without'));
  }

  await host.agent.backup({ local: { minIntervalMs: 0 } });
  expect(since()).toEqual(documented('the same by a running agent'));

  await host.write(changed);
  await host.agent.backup();
  expect(since()).toEqual(documented('backup, *c* files changed'));

  await host.agent.restore();
  expect(since()).toEqual(documented('restore, nothing to do'));

  await host.agent.list();
  expect(since()).toEqual(documented('`list`, `show`'));

  await host.agent.show('latest');
  expect(since()).toEqual(documented('`list`, `show`'));

  await host.agent.status();
  expect(since()).toEqual(documented('`status`'));

  await host.wipe();
  await host.agent.restore();
  expect(since()).toEqual(documented('restore on a bare machine'));

  await host.wipe();
  await host.agent.sync();
  expect(since()).toEqual(documented('restore on a bare machine'));
});

it('a backup with linked history costs what docs/architecture.md says', async () => {
  const remote = createMemoryRemote({ now: Date.now });
  await host.remove();
  host = await makeHost({ remote, settings: { history: 'linked' } });
  await host.write(files);
  await host.agent.backup();
  before = host.agent.counts();

  await host.write(changed);
  await host.agent.backup();
  expect(since()).toEqual(documented('the same with `--history linked`'));
});
