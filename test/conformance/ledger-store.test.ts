import { appendFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { findStores } from '../../src/cli/init/find-stores.ts';
import { createAgent } from '../../src/in-process/create-agent.ts';
import { adapterNamed } from '../../src/stores/find-adapter.ts';
import { kinds } from '../../src/stores/find-kind.ts';
import type * as Registry from '../../src/stores/registry.ts';
import type { StoreKind } from '../../src/stores/store-kind.ts';
import { ledgerKind } from '../support/ledger-store/ledger-kind.ts';
import { describeStore } from './store-conformance.ts';

// The store of docs/adding-a-store.md: one folder, and this line in the registry.
vi.mock('../../src/stores/registry.ts', async (original) => {
  const { storeKinds } = await original<typeof Registry>();
  const { ledgerKind: added } = await import('../support/ledger-store/ledger-kind.ts');
  return { storeKinds: [added, ...storeKinds] };
});

const record = (id: number): string => `${JSON.stringify({ id, text: `record ${id}` })}\n`;
const lines = (from: number, count: number): string =>
  Array.from({ length: count }, (_, index) => record(from + index)).join('');

async function makeLedger(dir: string): Promise<number> {
  await writeFile(join(dir, 'ledger.json'), '{"version":1}\n');
  await writeFile(join(dir, '000001.jsonl'), lines(0, 1000));
  await writeFile(join(dir, '000002.jsonl'), lines(1000, 500));
  return 1500;
}

describeStore({
  kind: ledgerKind,
  make: makeLedger,
  write: (dir) => appendFile(join(dir, '000002.jsonl'), record(9)),
  damages: {
    'a line is broken': (dir) =>
      writeFile(join(dir, '000001.jsonl'), `${lines(0, 500)}{"id"\n${lines(501, 499)}`),
    'a segment is gone': (dir) => rm(join(dir, '000001.jsonl')),
    'it does not say any more what it is': (dir) => rm(join(dir, 'ledger.json')),
  },
});

describe('a ledger', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sync-agent-ledger-'));
    await mkdir(join(dir, 'app/ledger'), { recursive: true });
    await makeLedger(join(dir, 'app/ledger'));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it('with an unfinished record at its end is sound, and says so', async () => {
    await appendFile(join(dir, 'app/ledger/000002.jsonl'), '{"id": 15');
    const { damage, findings, statistics } = await adapterNamed('ledger').inspect(join(dir, 'app/ledger'), {
      level: 'full',
    });
    expect([damage, statistics.records]).toEqual([[], 1500]);
    expect(findings).toMatchObject([{ message: '000002.jsonl ends in an unfinished record' }]);
  });

  it('in a snapshot is listed and verified by a version that does not know ledgers, and not restored', async () => {
    const remote = pathToFileURL(join(dir, 'remote')).href;
    await createAgent({ store: join(dir, 'app/ledger'), remote }).backup();
    const known = kinds as StoreKind[];
    const [ledger] = known.splice(0, 1);
    try {
      const older = createAgent({ store: join(dir, 'elsewhere'), remote });
      expect(await older.list()).toHaveLength(1);
      expect(await older.verify()).toMatchObject({ isSound: true });
      await expect(older.restore()).rejects.toMatchObject({
        code: 'TOO_NEW',
        message: expect.stringContaining('"ledger"') as string,
      });
      await expect(readdir(join(dir, 'elsewhere'))).rejects.toMatchObject({ code: 'ENOENT' });
    } finally {
      known.unshift(ledger ?? ledgerKind);
    }
  });

  it('is found by init', async () => {
    expect(await findStores(join(dir, 'app'), {})).toMatchObject([{ kind: 'ledger' }]);
  });
});
