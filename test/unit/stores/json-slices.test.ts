import { describe, expect, test } from 'vitest';
import { elementTexts, memberTexts } from '../../../src/platform/json/json-slices.ts';

describe('the texts of JSON values', () => {
  test('numbers keep the form in which they were sent', () => {
    expect(elementTexts('[{"a":5.0},{"a":5}, null ]')).toEqual(['{"a":5.0}', '{"a":5}', 'null']);
    expect(memberTexts('{"big":9007199254740993,"float":1e2}')).toEqual(
      new Map([
        ['big', '9007199254740993'],
        ['float', '1e2'],
      ]),
    );
  });

  test('brackets, commas, quotes and backslashes within strings do not count', () => {
    const values = ['],[', '{"', '\\', '\\"', 'a\\\\', 'ü,\u0000'];
    const text = JSON.stringify({ 'k"ey': values, '],': { nested: values } });
    const members = memberTexts(text);
    expect([...(members?.keys() ?? [])]).toEqual(['k"ey', '],']);
    expect(members?.get('k"ey')).toBe(JSON.stringify(values));
    expect(elementTexts(JSON.stringify(values))).toEqual(values.map((each) => JSON.stringify(each)));
  });

  test('nothing within brackets is no element', () => {
    expect(elementTexts('[]')).toEqual([]);
    expect(elementTexts(' [ ] ')).toEqual([]);
    expect(memberTexts('{}')).toEqual(new Map());
  });

  test('what is no array, or no object, has none', () => {
    expect(elementTexts('{"a":[1]}')).toBeUndefined();
    expect(elementTexts('')).toBeUndefined();
    expect(memberTexts('[{"a":1}]')).toBeUndefined();
  });
});
