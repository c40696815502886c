import { assert, constantFrom, property, string } from 'fast-check';
import { expect, it } from 'vitest';
import { assertKey, compareKeys } from '../../../src/remotes/key.ts';

it('keys are compared by their UTF-8 bytes', () => {
  const text = string({
    unit: constantFrom('a', '/', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '😀'),
    maxLength: 8,
  });
  assert(
    property(text, text, (a, b) => {
      expect(Math.sign(compareKeys(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
    }),
  );
});

it('a lone surrogate is no key', () => {
  expect(() => {
    assertKey('a/\ud800');
  }).toThrow('not well-formed');
});
