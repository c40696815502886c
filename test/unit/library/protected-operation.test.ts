import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { protectedOperation } from '../../../src/library/protecting/protected-operation.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import type * as decorated from '../../support/decorated-indexer.ts';
import { notingAgent } from '../../support/noting-agent.ts';

describe('protectedOperation', () => {
  it('makes each call of a function a protected operation, with its arguments, this and result', async () => {
    const agent = notingAgent();
    const add = protectedOperation('add', { agent, risk: 'risky' })(function (
      this: { base: number },
      more: number,
    ) {
      return this.base + more;
    });
    const sum: number = await add.call({ base: 40 }, 2);
    expect(sum).toBe(42);
    expect(agent.calls).toEqual([['add', { risk: 'risky' }]]);
    const failing = protectedOperation('fail', { agent })(async () => {
      throw new TypeError('mine');
    });
    await expect(failing()).rejects.toThrow(new TypeError('mine'));
  });

  it('is a standard decorator of methods, which may find the agent at this', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'decorated-'));
    const outfile = join(dir, 'indexer.mjs');
    try {
      const entry = fileURLToPath(new URL('../../support/decorated-indexer.ts', import.meta.url));
      await build({
        entryPoints: [entry],
        bundle: true,
        platform: 'node',
        format: 'esm',
        target: 'node20',
        outfile,
      });
      const { Indexer } = (await import(pathToFileURL(outfile).href)) as typeof decorated;
      const [one, other] = [new Indexer(), new Indexer()];
      expect(await one.recreate('a', 'b')).toBe(2);
      expect(await one.recreate('c')).toBe(3);
      expect(one.agent.calls).toEqual(
        Array.from({ length: 2 }, () => ['recreate', { onFailure: 'restore' }]),
      );
      expect(other.agent.calls).toEqual([]);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it('says what is wrong where a compiler has other decorators, or the place is none for it', () => {
    const decorate = protectedOperation('x', { agent: notingAgent() }) as (
      ...args: readonly unknown[]
    ) => unknown;
    const calls = [
      () => decorate({}, 'method', { value: () => 1 }),
      () => decorate(Map, { kind: 'class' }),
      () => decorate(undefined, { kind: 'field' }),
      () => decorate('no function'),
    ];
    for (const call of calls) expect(call).toThrow(SyncAgentError);
    expect(calls[0]).toThrow(/only a function or a method/);
  });
});
