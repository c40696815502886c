import { expect, it } from 'vitest';
import { recordChecks } from '../../../src/engine/writing/record-checks.ts';

const good = {
  id: 'a',
  embedding: Float32Array.of(1, 2),
  document: 'text',
  uri: null,
  metadata: '{"k":1,"f":5.0,"a":["x"],"huge":1e300}',
};

it.each([
  ['an empty id', { id: '' }, 'its id is empty'],
  ['an id that is no Unicode', { id: '\ud800' }, 'no Unicode'],
  ['a document that is no Unicode', { document: 'a\udc00' }, 'no Unicode'],
  ['no embedding', { embedding: null }, 'no embedding'],
  ['an embedding without values', { embedding: Float32Array.of() }, 'no embedding'],
  ['NaN', { embedding: Float32Array.of(1, NaN) }, 'value 1 of its embedding is NaN'],
  ['infinity', { embedding: Float32Array.of(-Infinity, 1) }, 'value 0 of its embedding is -Infinity'],
  ['another dimension', { embedding: Float32Array.of(1, 2, 3) }, 'has 3 values, the collection has 2'],
  ['a key that breaks the server', { metadata: '{"chroma:document":null}' }, 'Chroma keeps for itself'],
  ['an empty key', { metadata: '{"":1}' }, 'Chroma keeps for itself'],
  ['a key of the schema', { metadata: '{"#embedding":1}' }, 'Chroma keeps for itself'],
  ['nested metadata', { metadata: '{"k":{"x":1}}' }, 'cannot keep under "k"'],
  ['null in metadata', { metadata: '{"k":null}' }, 'cannot keep under "k"'],
  ['an array of several types', { metadata: '{"k":[1,"x"]}' }, 'cannot keep under "k"'],
  ['a number that is too large', { metadata: '{"k":1e400}' }, 'cannot keep under "k"'],
  ['an integer that is too large', { metadata: '{"k":[9223372036854775808]}' }, 'more than 64 bits'],
  ['metadata that is no object', { metadata: '[1]' }, '"metadata" is no object'],
])('%s is found before it is sent', (_, part, message) => {
  expect(recordChecks(2).problemOf({ ...good, ...part })).toContain(message);
});

it('a good record is let through, with the largest integers', () => {
  expect(recordChecks(2).problemOf(good)).toBeUndefined();
  const metadata = '{"most":9223372036854775807,"least":-9223372036854775808}';
  expect(recordChecks(null).problemOf({ ...good, metadata })).toBeUndefined();
});

it('an id that comes twice is found, also with equal content', () => {
  const checks = recordChecks(null);
  expect(checks.problemOf(good)).toBeUndefined();
  expect(checks.problemOf({ ...good, id: 'b' })).toBeUndefined();
  expect(checks.problemOf(good)).toBe('its id comes twice: record 1 of the input has it, too');
});

it('the first record decides on the dimension of a new collection', () => {
  const checks = recordChecks(null);
  expect(checks.problemOf(good)).toBeUndefined();
  expect(checks.problemOf({ ...good, id: 'b', embedding: Float32Array.of(1) })).toBe(
    'its embedding has 1 values, the records before it have 2',
  );
});

it.each([
  [[3e38, 3e38], 'too long or too short'],
  [[1e20, 1], 'too long or too short'],
  [[1e-30, 1e-30], 'too long or too short'],
  [[0, 0], undefined],
  [[1e-9, 0], undefined],
  [[1e10, 1e10], undefined],
])('%j in a cosine collection: %s', (vector, message) => {
  const record = { ...good, embedding: Float32Array.from(vector) };
  expect(recordChecks(2).problemOf(record)).toBeUndefined();
  const found = recordChecks(2, true).problemOf(record);
  if (message === undefined) expect(found).toBeUndefined();
  else expect(found).toContain(message);
});
