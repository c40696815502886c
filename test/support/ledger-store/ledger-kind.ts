import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { StoreKind } from '../../../src/stores/store-kind.ts';

export const marker = 'ledger.json';

/** A ledger: `ledger.json`, and segments of JSON lines that are only ever appended to: `000001.jsonl`, `000002.jsonl` … */
export const ledgerKind: StoreKind = {
  name: 'ledger',
  detect: async (dir) => (await stat(join(dir, marker)).catch(() => undefined))?.isFile() === true,
  inspect: async (dir, options) => (await import('./inspect-ledger.ts')).inspectLedger(dir, options),
  needs: [
    { path: marker, why: 'it is what makes the directory a ledger' },
    { path: '000001.jsonl', why: 'the records are in such files' },
  ],
  habits: { directories: ['ledger'], variables: ['LEDGER_PATH'], matches: (names) => names.includes(marker) },
};
