import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bytesBody, collect, hashing } from '../../../src/remotes/body.ts';
import { PartMemory } from '../../../src/remotes/read-body.ts';

describe('a body that is hashed as it is read', () => {
  const bytes = Buffer.from('some bytes');
  const sha256 = createHash('sha256').update(bytes).digest('hex');

  it('has its SHA-256 once it was read to its end, however often', async () => {
    const body = hashing(bytesBody(bytes));
    expect(() => body.sha256()).toThrow('not read to its end');
    for (let time = 0; time < 2; time += 1) {
      expect(await collect(body.open(), 100)).toEqual(bytes);
      expect(body.sha256()).toBe(sha256);
    }
  });

  it('is not hashed by the reading of a range', async () => {
    const body = hashing(bytesBody(bytes));
    expect((await collect(body.open({ start: 5, end: 10 }), 100)).toString()).toBe('bytes');
    expect(() => body.sha256()).toThrow('not read to its end');
  });
});

describe('the memory for parts', () => {
  it('is used again once it was given back, and never by two', () => {
    const memory = new PartMemory(8);
    const [one, two] = [memory.take(8), memory.take(8)];
    expect(one.buffer).not.toBe(two.buffer);
    memory.give(one);
    expect(memory.take(6).buffer).toBe(one.buffer);
    expect(memory.take(8).buffer).not.toBe(one.buffer);
  });

  it('is no more than what is asked for, for a body that is small or a part that is larger', () => {
    const memory = new PartMemory(8);
    expect(memory.take(3).buffer.byteLength).toBe(3);
    const large = memory.take(20);
    expect(large.buffer.byteLength).toBe(20);
    memory.give(large);
    expect(memory.take(8).buffer.byteLength).toBe(8);
  });
});
