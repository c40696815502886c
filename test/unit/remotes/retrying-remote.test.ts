import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { bytesBody, collect, textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { GetOptions, Remote } from '../../../src/remotes/remote.ts';
import { retrying, type RetryEvent } from '../../../src/remotes/wrappers/retrying-remote.ts';
import { manualClock } from './manual-clock.ts';

const broken = new SyncAgentError('REMOTE_UNREACHABLE', 'broken', { retryable: true });

/** Every body breaks after `bytes` bytes. */
function breaking(remote: Remote, bytes: number, asked: (GetOptions | undefined)[]): Remote {
  return {
    ...remote,
    get: async (key, options) => {
      asked.push(options);
      const result = await remote.get(key, options);
      return {
        ...result,
        body: (async function* () {
          const whole = await collect(result.body, 1e6);
          if (bytes > 0) yield whole.subarray(0, bytes);
          if (whole.byteLength > bytes) throw broken;
        })(),
      };
    },
  };
}

describe('the retrying remote', () => {
  const memory = createMemoryRemote({ now: () => Date.now() });

  it('resumes a broken body at the byte it reached, as often as there is progress', async () => {
    const bytes = randomBytes(1000);
    await memory.put('x', bytesBody(bytes));
    const asked: (GetOptions | undefined)[] = [];
    const remote = retrying(breaking(memory, 60, asked), { clock: manualClock(), attempts: 2 });
    const { body, size } = await remote.get('x', { range: { start: 10, end: 990 } });
    expect(size).toBe(980);
    expect((await collect(body, 1000)).equals(bytes.subarray(10, 990))).toBe(true);
    expect(asked).toHaveLength(17);
    expect(asked.at(-1)?.range).toEqual({ start: 970, end: 990 });
  });

  it('gives up a body that makes no progress', async () => {
    await memory.put('x', bytesBody(Buffer.alloc(10)));
    const asked: (GetOptions | undefined)[] = [];
    const remote = retrying(breaking(memory, 0, asked), { clock: manualClock(), attempts: 4 });
    const { body } = await remote.get('x');
    await expect(collect(body, 1000)).rejects.toBe(broken);
    expect(asked).toHaveLength(4);
  });

  it('never joins bytes of two versions', async () => {
    await memory.put('x', textBody('aaaaaaaaaa'));
    const remote = retrying(breaking(memory, 4, []), { clock: manualClock() });
    const { body } = await remote.get('x');
    await memory.put('x', textBody('bbbbbbbbbb'));
    const seen: string[] = [];
    const reading = (async () => {
      for await (const chunk of body) {
        seen.push(Buffer.from(chunk).toString());
      }
    })();
    // The first chunk was read from the old version before the body broke.
    await expect(reading).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE', retryable: false });
    expect(seen).toEqual(['aaaa']);
  });

  it('resumes a listing after the last key it delivered', async () => {
    const remote = createMemoryRemote({ now: () => 0 });
    for (const key of ['a', 'b', 'c', 'd']) await remote.put(key, textBody(key));
    let failures = 3;
    const paging: Remote = {
      ...remote,
      list: async function* (prefix, options) {
        for await (const page of remote.list(prefix, options)) {
          for (const info of page.objects) {
            yield { ...page, objects: [info] };
            if ((failures -= 1) >= 0) throw broken;
          }
        }
      },
    };
    const keys: string[] = [];
    for await (const { objects } of retrying(paging, { clock: manualClock(), attempts: 2 }).list(''))
      keys.push(...objects.map(({ key }) => key));
    expect(keys).toEqual(['a', 'b', 'c', 'd']);
  });

  it('names the operation and the key of each retry', async () => {
    const events: RetryEvent[] = [];
    let calls = 0;
    const flaky: Remote = {
      ...memory,
      head: async (key, options) => {
        calls += 1;
        if (calls === 1) throw broken;
        return memory.head(key, options);
      },
    };
    const remote = retrying(flaky, { clock: manualClock(), onRetry: (event) => events.push(event) });
    expect(await remote.head('nothing')).toBeUndefined();
    expect(events).toEqual([{ operation: 'head', key: 'nothing', attempt: 1, delayMs: 100, error: broken }]);
  });
});
