import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Spool } from '../../../src/engine/continuous/reading/spool.ts';
import type { Batch } from '../../../src/engine/continuous/reading/spool.ts';
import type { LogPosition, LogReading, LoggedOperation } from '../../../src/stores/operation-log.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
/** `5a` is operation 5, written by the first who had that number; `5b` by the next. */
const operation = (name: string): LoggedOperation => ({
  number: Number.parseInt(name, 10),
  text: `["${name}"]`,
});
const at = (name: string, rest = 'r'): LogPosition => ({
  number: Number.parseInt(name, 10),
  operation: sha256(operation(name).text),
  rest,
});

interface Told {
  readonly names?: string;
  readonly to: LogPosition;
  readonly cutTo?: number;
  readonly rest?: string;
}
function reading({ names = '', to, cutTo, rest }: Told): Extract<LogReading, { type: 'entries' }> {
  return {
    type: 'entries',
    operations: names.split(' ').filter(Boolean).map(operation),
    to,
    hasMore: false,
    ...(cutTo === undefined ? {} : { cutTo }),
    ...(rest === undefined ? {} : { rest: [`{"${rest}"}`] }),
  };
}
function spoolOf(from: LogPosition, ...all: readonly Told[]): Spool {
  const spool = new Spool(1e6);
  spool.startAt(from);
  for (const [index, each] of all.entries()) spool.add(reading(each), index);
  return spool;
}
/** As one line: `<cut` operations {tables}. */
const told = (batches: readonly Batch[] | undefined): string | undefined =>
  batches
    ?.map(({ cutTo, operations, rest = [] }) =>
      [
        ...(cutTo === undefined ? [] : [`<${cutTo}`]),
        ...operations.map(({ text }) => text.slice(2, -2)),
        ...rest,
      ].join(' '),
    )
    .join(' | ');

const plain = () => spoolOf(at('3a'), { names: '4a 5a 6a', to: at('6a') }, { names: '7a 8a', to: at('8a') });

describe('what a store lacks of a spool', () => {
  it.each([
    ['3a', '4a 5a 6a | 7a 8a'],
    ['4a', '5a 6a | 7a 8a'],
    ['5a', '6a | 7a 8a'],
    ['6a', '7a 8a'],
    ['7a', '8a'],
    ['8a', ''],
  ])('at %s is %s', (name, expected) => {
    expect(told(plain().after(at(name)))).toBe(expected);
  });

  it.each(['2a', '9a', '3b', '5b', '8b'])('at %s, where it never was, is not known', (name) => {
    expect(plain().after(at(name))).toBeUndefined();
  });

  it('is not known before anything was read', () => {
    expect(new Spool(100).after(at('3a'))).toBeUndefined();
  });

  it('ends where the spool does, whatever part of it is taken', () => {
    for (const name of ['3a', '5a', '7a']) expect(plain().after(at(name))?.at(-1)?.to).toEqual(at('8a'));
  });

  it('is found by content, not by number, when a number was used twice', () => {
    const spool = spoolOf(
      at('3a'),
      { names: '4a 5a 6a', to: at('6a') },
      { cutTo: 4, names: '5b 6b', to: at('6b') },
      { names: '7b', to: at('7b') },
    );
    expect(told(spool.after(at('5a')))).toBe('6a | <4 5b 6b | 7b');
    expect(told(spool.after(at('5b')))).toBe('6b | 7b');
    expect(told(spool.after(at('6b')))).toBe('7b');
    // The store was there twice. To do all again is right.
    expect(told(spool.after(at('4a')))).toBe('5a 6a | <4 5b 6b | 7b');
  });

  it('is known of a store that was cut, and no more, also before all that was read', () => {
    const spool = spoolOf(
      at('9a'),
      { cutTo: 7, to: at('7a', 'r2'), rest: 'r2' },
      { names: '8b', to: at('8b', 'r2') },
    );
    expect(told(spool.after(at('7a', 'r2')))).toBe('8b');
    expect(told(spool.after(at('7a', 'r1')))).toBe('{"r2"} | 8b');
    expect(told(spool.after(at('9a')))).toBe('<7 {"r2"} | 8b');
    expect(spool.after(at('8a'))).toBeUndefined();
  });

  it('has the tables as they are in the end, whenever they changed', () => {
    const spool = spoolOf(
      at('3a', 'r1'),
      { names: '4a', rest: 'r2', to: at('4a', 'r2') },
      { names: '5a', to: at('5a', 'r2') },
    );
    expect(told(spool.after(at('3a', 'r1')))).toBe('4a {"r2"} | 5a');
    // It was captured when they had changed already, or when they had not yet.
    expect(told(spool.after(at('4a', 'r2')))).toBe('5a');
    expect(told(spool.after(at('4a', 'r1')))).toBe('{"r2"} | 5a');
    expect(told(spool.after(at('5a', 'r2')))).toBe('');
    expect(told(spool.after(at('5a', 'r1')))).toBe('{"r2"}');
    expect(spool.after(at('5a', 'r1'))?.at(-1)?.to).toEqual(at('5a', 'r2'));
  });

  it('has no tables that are as they were', () => {
    const spool = spoolOf(
      at('3a', ''),
      { rest: 'r1', to: at('3a', 'r1') },
      { names: '4a', to: at('4a', 'r1') },
    );
    expect(told(spool.after(at('3a', 'r1')))).toBe('4a');
    expect(told(spool.after(at('3a', 'r0')))).toBe('{"r1"} | 4a');
  });

  it('is nothing but the tables if only they changed', () => {
    const spool = spoolOf(
      at('3a', 'r1'),
      { rest: 'r2', to: at('3a', 'r2') },
      { rest: 'r3', to: at('3a', 'r3') },
    );
    expect(told(spool.after(at('3a', 'r1')))).toBe('{"r2"} | {"r3"}');
    expect(spool.after(at('3a', 'r2'))?.at(-1)?.to.rest).toBe('r3');
  });

  it('is not known any more once it was dropped, and the tables stay known', () => {
    const spool = new Spool(30);
    spool.startAt(at('3a', 'r1'));
    spool.add(reading({ names: '4a', rest: 'r2', to: at('4a', 'r2') }), 0);
    spool.add(reading({ names: '5a 6a', to: at('6a', 'r2') }), 1);
    spool.add(reading({ names: '7a', to: at('7a', 'r2') }), 2);
    expect(spool.after(at('3a', 'r1'))).toBeUndefined();
    expect(told(spool.after(at('4a', 'r1')))).toBe('5a 6a | 7a | {"r2"}');
    spool.add(reading({ names: '8a', to: at('8a', 'r2') }), 3);
    spool.add(reading({ names: '9a', to: at('9a', 'r2') }), 4);
    expect(spool.after(at('5a', 'r2'))).toBeUndefined();
    expect(told(spool.after(at('6a', 'r2')))).toBe('7a | 8a | 9a');
  });

  it('keeps one batch that is larger than all of it', () => {
    const spool = new Spool(1);
    spool.startAt(at('3a'));
    spool.add(reading({ names: '4a 5a', to: at('5a') }), 0);
    expect(told(spool.after(at('3a')))).toBe('4a 5a');
  });

  it('begins anew after a gap', () => {
    const spool = plain();
    spool.startAt(at('20a'));
    expect(spool.after(at('7a'))).toBeUndefined();
    expect(told(spool.after(at('20a')))).toBe('');
  });
});
