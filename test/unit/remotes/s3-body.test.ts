import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { collect } from '../../../src/remotes/body.ts';
import { stretchBytes } from '../../../src/remotes/wrappers/deadline.ts';
import { s3Body } from '../../../src/remotes/s3/s3-body.ts';

const options = { action: 'get "x" from s3://bucket', now: () => 0, stallTimeoutMs: 50 };
const streamOf = (text: string): Readable => Readable.from([Buffer.from(text)]);

describe('the body of an S3 answer', () => {
  it('is what the server announced', async () => {
    expect((await collect(s3Body(streamOf('12345'), { ...options, size: 5 }), 10)).toString()).toBe('12345');
  });

  it.each([4, 6])('fails, for another try, when 5 bytes come instead of %i', async (size) => {
    const failure = { code: 'REMOTE_UNREACHABLE', retryable: true };
    await expect(collect(s3Body(streamOf('12345'), { ...options, size }), 10)).rejects.toMatchObject(failure);
  });

  it('fails, for another try, when bytes stop coming, however long the whole may take', async () => {
    const silent = new Readable({ read: () => undefined });
    silent.push('123');
    const bytes = collect(s3Body(silent, { ...options, size: 1_000_000 }), 10);
    await expect(bytes).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      retryable: true,
      message: expect.stringMatching(/only 3 bytes came for 50 ms, at byte 3 of 1000000$/) as string,
    });
    expect(silent.destroyed).toBe(true);
  });

  it('does not take a slow reader for a stalled server', async () => {
    const stream = Readable.from([Buffer.from('123'), Buffer.from('45')]);
    let read = 0;
    for await (const chunk of s3Body(stream, { ...options, size: 5 })) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      read += chunk.byteLength;
    }
    expect(read).toBe(5);
  });

  it('fails when bytes trickle, each long before the time of silence is over', async () => {
    const stream = new Readable({ read: () => undefined });
    const drip = setInterval(() => stream.push('.'), 2);
    try {
      await expect(collect(s3Body(stream, { ...options, size: 1_000_000 }), 1e6)).rejects.toMatchObject({
        code: 'REMOTE_UNREACHABLE',
        message: expect.stringMatching(/only \d+ bytes came for 50 ms/) as string,
      });
    } finally {
      clearInterval(drip);
    }
  });

  it('takes its time for a big body whose bytes keep coming', async () => {
    const stretches = 6;
    const size = stretches * stretchBytes;
    const stream = Readable.from(
      (async function* () {
        for (let sent = 0; sent < size; sent += stretchBytes) {
          await new Promise((resolve) => setTimeout(resolve, 60));
          yield Buffer.alloc(stretchBytes);
        }
      })(),
    );
    const started = performance.now();
    const patience = { ...options, stallTimeoutMs: 300 };
    expect(await collect(s3Body(stream, { ...patience, size }), size)).toHaveLength(size);
    expect(performance.now() - started).toBeGreaterThan(300);
  });

  it('comes in large chunks, however small those of the network are', async () => {
    const bytes = Buffer.from(Array.from({ length: 1_500_000 }, (_, index) => index % 251));
    const small = Array.from({ length: 30 }, (_, index) =>
      bytes.subarray(index * 50_000, (index + 1) * 50_000),
    );
    const sizes: number[] = [];
    const copies: Buffer[] = [];
    for await (const chunk of s3Body(Readable.from(small), { ...options, size: bytes.length })) {
      sizes.push(chunk.byteLength);
      copies.push(Buffer.from(chunk));
    }
    expect(sizes).toEqual([524_288, 524_288, 451_424]);
    expect(Buffer.concat(copies).equals(bytes)).toBe(true);
  });

  it('delivers what came before it broke, so that a bad network gets on', async () => {
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from('12');
        yield Buffer.from('34');
        throw Object.assign(new Error('reset'), { code: 'ECONNRESET' });
      })(),
    );
    const got: string[] = [];
    const read = async (): Promise<void> => {
      for await (const chunk of s3Body(broken, { ...options, size: 1_000_000 }))
        got.push(Buffer.from(chunk).toString());
    };
    await expect(read()).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE', retryable: true });
    expect(got).toEqual(['1234']);
  });

  it('delivers nothing any more once it is aborted', async () => {
    const aborter = new AbortController();
    const stream = new Readable({ read: () => undefined });
    stream.push('123');
    setTimeout(() => aborter.abort(), 10);
    const chunks = s3Body(stream, { ...options, stallTimeoutMs: 5000, size: 10, signal: aborter.signal });
    await expect(chunks.next()).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  it('takes no more from the network than a block while its reader is busy', async () => {
    let made = 0;
    const stream = Readable.from(
      (function* () {
        for (; made < 100; made += 1) yield Buffer.alloc(100_000);
      })(),
      { objectMode: false, highWaterMark: 100_000 },
    );
    for await (const chunk of s3Body(stream, { ...options, size: 10_000_000 })) {
      expect(chunk.byteLength).toBe(524_288);
      await new Promise((resolve) => setTimeout(resolve, 50));
      break;
    }
    expect(made).toBeLessThan(12);
  });
});
