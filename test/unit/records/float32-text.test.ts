import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { vectorText } from '../../../src/platform/json/float32-text.ts';

/** The bits of a float32: -0 and 0 differ. */
const bits = (values: Iterable<number>): readonly number[] => [
  ...new Uint32Array(Float32Array.from(values).buffer),
];

test('every float32 value comes back bit by bit', () => {
  fc.assert(
    fc.property(fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { maxLength: 50 }), (values) => {
      const vector = Float32Array.from(values);
      expect(bits(JSON.parse(vectorText(vector)) as number[])).toEqual(bits(vector));
    }),
    { numRuns: 2000 },
  );
});

test('no decimal with fewer digits gives the same float32', () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const text = vectorText(Float32Array.of(value)).slice(1, -1);
      const digits = /^-?0*\.?0*(?<digits>[\d.]*?)0*(?:e.*)?$/.exec(text)?.groups?.['digits'] ?? '';
      const count = digits.replace('.', '').length;
      if (count > 1) expect(Math.fround(Number(value.toPrecision(count - 1)))).not.toBe(value);
    }),
    { numRuns: 2000 },
  );
});

test.each([
  [[0.1, 0.2, -0.3], '[0.1,0.2,-0.3]'],
  [[1, -2, 16777216], '[1,-2,16777216]'],
  [[-0, 1e-45, 3.4028234663852886e38], '[-0.0,1e-45,3.4028235e+38]'],
  [[NaN, Infinity, 1], '["NaN","Infinity",1]'],
])('%j is %s', (values, text) => {
  expect(vectorText(Float32Array.from(values))).toBe(text);
});
