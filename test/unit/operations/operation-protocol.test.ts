import { describe, expect, it } from 'vitest';
import { splitSignal, withSignal } from '../../../src/operations/operation-protocol.ts';

describe('the arguments of a call', () => {
  const { signal } = new AbortController();
  it.each([
    [[], undefined, [{}]],
    [[undefined], undefined, [{}]],
    [['latest', undefined], undefined, ['latest', {}]],
    [['~1', 'latest', { signal }], signal, ['~1', 'latest', {}]],
    [[{ signal, force: true }], signal, [{ force: true }]],
  ])('%o end with their options, and hold no signal', (args, found, plain) => {
    expect(splitSignal(args)).toEqual({ signal: found, plain });
    const other = new AbortController();
    expect(withSignal(plain, other.signal).at(-1)).toMatchObject({ signal: other.signal });
    expect(withSignal(plain, other.signal)).toHaveLength(plain.length);
  });
});
