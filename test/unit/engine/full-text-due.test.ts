import { describe, expect, it } from 'vitest';
import { fullTextDueMs } from '../../../src/engine/soundness/full-text-due.ts';

const dayMs = 24 * 60 * 60 * 1000;
const nowMs = Date.UTC(2026, 5, 15);
const iso = (ms: number): string => new Date(ms).toISOString();
const finding = (kind: string) => ({ kind, where: 'chroma.sqlite3', message: 'm' });

describe('when full-text indexes are compared with their texts', () => {
  it.each([
    ['a day after the first snapshot', undefined, nowMs + dayMs],
    ['a day after a snapshot that had it', { createdAt: iso(nowMs - 1000) }, nowMs - 1000 + dayMs],
    [
      'when a snapshot that had not says so',
      { createdAt: iso(nowMs - 1000), fullTextDueAt: iso(nowMs + 5000) },
      nowMs + 5000,
    ],
    [
      'at once where the snapshot before has such a finding',
      { createdAt: iso(nowMs - 1000), findings: [finding('index'), finding('full-text')] },
      nowMs,
    ],
    [
      'not at once for another finding',
      { createdAt: iso(nowMs - 1000), findings: [finding('index')] },
      nowMs - 1000 + dayMs,
    ],
    ['at once where a clock was wrong', { createdAt: iso(nowMs + 9 * dayMs) }, nowMs],
  ])('%s', (_, before, dueMs) => {
    expect(fullTextDueMs(before, nowMs)).toBe(dueMs);
  });
});
