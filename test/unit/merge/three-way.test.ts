import { describe, expect, it } from 'vitest';
import { decide } from '../../../src/engine/merge/three-way.ts';
import { signatureOf } from '../../../src/engine/records/record-signature.ts';
import type { RecordSignature } from '../../../src/engine/records/record-signature.ts';
import type { SourceRecord } from '../../../src/stores/record-source.ts';

const plain: SourceRecord = {
  id: 'a',
  embedding: Float32Array.of(1, 2),
  document: 'one',
  uri: null,
  metadata: '{"page":1}',
};
const change = {
  embedding: { embedding: Float32Array.of(1, 2.0000002) },
  document: { document: null },
  uri: { uri: 'file:///a' },
  metadata: { metadata: '{"page":1.0}' },
} as const satisfies Record<string, Partial<SourceRecord>>;
const parts = ['embedding', 'document', 'uri', 'metadata'] as const;

const record = (changed: Partial<SourceRecord> = {}): RecordSignature =>
  signatureOf({ ...plain, ...changed }, false);
const sure = { isSure: true };

describe('one record on both sides', () => {
  const none = undefined;
  const [base, x, y] = [record(), record({ document: 'x' }), record({ document: 'y' })];
  it.each<[string, (RecordSignature | undefined)[], object]>([
    ['that nobody has', [none, none, none], { type: 'same' }],
    ['that nobody changed', [base, record(), record()], { type: 'same' }],
    ['that both deleted', [base, none, none], { type: 'same' }],
    ['that both changed to the same', [base, x, record({ document: 'x' })], { type: 'same' }],
    ['that both added, the same', [none, x, record({ document: 'x' })], { type: 'same' }],
    ['that only A added', [none, x, none], { type: 'keep' }],
    ['that only A changed', [base, x, record()], { type: 'keep' }],
    ['that only A deleted', [base, none, record()], { type: 'keep' }],
    ['that only B added', [none, none, x], { type: 'take' }],
    ['that only B changed', [base, record(), x], { type: 'take' }],
    ['that only B deleted', [base, record(), none], { type: 'take' }],
    [
      'that both added, not the same',
      [none, x, y],
      { type: 'conflict', ours: 'added', theirs: 'added', parts: ['document'] },
    ],
    [
      'that both changed, not to the same',
      [base, x, y],
      { type: 'conflict', ours: 'changed', theirs: 'changed', parts: ['document'] },
    ],
    [
      'that A deleted and B changed',
      [base, none, x],
      { type: 'conflict', ours: 'deleted', theirs: 'changed', parts: [] },
    ],
    [
      'that A changed and B deleted',
      [base, x, none],
      { type: 'conflict', ours: 'changed', theirs: 'deleted', parts: [] },
    ],
  ])('%s', (_, [before, ours, theirs], expected) => {
    expect(decide({ base: before, ours, theirs }, sure)).toEqual(expected);
  });

  it.each(parts)('is taken if only its %s changed in B, kept if only in A', (part) => {
    const other = record(change[part]);
    expect(decide({ base, ours: base, theirs: other }, sure).type).toBe('take');
    expect(decide({ base, ours: other, theirs: base }, sure).type).toBe('keep');
    expect(decide({ base, ours: other, theirs: x }, sure)).toMatchObject({ type: 'conflict' });
  });

  it('is a conflict, named by its parts, if A changed one part and B another', () => {
    const [ours, theirs] = [record(change.embedding), record(change.metadata)];
    expect(decide({ base, ours, theirs }, sure)).toMatchObject({ parts: ['embedding', 'metadata'] });
  });

  it('is a conflict wherever it differs if nobody knows what both had', () => {
    const unsure = { isSure: false };
    expect(decide({ base, ours: base, theirs: x }, unsure)).toMatchObject({
      type: 'conflict',
      ours: 'unchanged',
      theirs: 'changed',
    });
    expect(decide({ base, ours: x, theirs: base }, unsure).type).toBe('conflict');
    expect(decide({ base, ours: x, theirs: x }, unsure).type).toBe('same');
  });
});
