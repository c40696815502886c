import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCheck } from '../../../src/engine/doctor/check.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { makeHost } from '../../support/host.ts';

const rejecting = (code: 'DENIED' | 'INTERRUPTED') => ({
  name: 'disk',
  find: () => Promise.reject(new SyncAgentError(code, 'Cannot look', { remedy: 'Look elsewhere' })),
});

describe('a check', () => {
  it('that rejects has failed with what a command would fail with', async () => {
    expect(await runCheck(rejecting('DENIED'), {})).toEqual([
      { name: 'disk', status: 'fail', code: 'DENIED', detail: 'Cannot look', remedy: 'Look elsewhere' },
    ]);
  });

  it('that was interrupted ends the run, and so does a defect', async () => {
    await expect(runCheck(rejecting('INTERRUPTED'), {})).rejects.toMatchObject({ code: 'INTERRUPTED' });
    const defect = { name: 'disk', find: () => Promise.reject(new TypeError('defect')) };
    await expect(runCheck(defect, {})).rejects.toThrow(TypeError);
  });

  it('may name what it found', async () => {
    const find = async () => [
      { status: 'ok' as const, detail: 'one' },
      { name: 'two', status: 'ok' as const, detail: 'two' },
    ];
    expect((await runCheck({ name: 'one', find }, {})).map(({ name }) => name)).toEqual(['one', 'two']);
  });
});

describe('doctor', () => {
  it('looks at this host first, then at the remote, and leaves nothing behind', async () => {
    const remote = createMemoryRemote({ now: Date.now });
    const host = await makeHost({ remote });
    await mkdir(host.store);
    await writeFile(join(host.store, 'file'), 'text');
    await host.agent.backup();
    const keysOf = async (): Promise<readonly string[]> => {
      const keys: string[] = [];
      for await (const { objects } of remote.list('')) keys.push(...objects.map(({ key }) => key));
      return keys;
    };
    const before = await keysOf();
    const { checks, worst } = await host.agent.doctor();
    expect(checks.map(({ name, status }) => `${name} ${status}`)).toEqual([
      'home ok',
      'journal ok',
      'store ok',
      'servers ok',
      'disk ok',
      'read ok',
      'write ok',
      'clock ok',
      'consistency ok',
      'copy ok',
      'checksums ok',
      'delete ok',
      'create-only ok',
      'snapshots ok',
      'lineage ok',
    ]);
    expect(worst).toBeUndefined();
    expect((await keysOf()).filter((key) => !before.includes(key) && key.includes('probe'))).toEqual([]);
  });

  it('passes on what a remote says of itself, and prune says that deleted bytes stay', async () => {
    const remote: Remote = {
      ...createMemoryRemote({ now: Date.now }),
      remarks: async () => [
        { name: 'cellar', type: 'fact', message: 'it is in the cellar' },
        { name: 'bin', type: 'keeps-deleted', message: 'nobody empties the bin', remedy: 'Empty it' },
      ],
    };
    const host = await makeHost({ remote });
    await mkdir(host.store);
    await writeFile(join(host.store, 'file'), 'text');
    await host.agent.backup();
    const { checks } = await host.agent.doctor();
    expect(checks.filter(({ name }) => ['cellar', 'bin'].includes(name))).toEqual([
      { name: 'cellar', status: 'ok', detail: 'it is in the cellar' },
      { name: 'bin', status: 'warn', detail: 'nobody empties the bin', remedy: 'Empty it' },
    ]);
    await host.agent.prune();
    expect(host.events.filter((event) => event.type === 'warning')).toEqual([
      { type: 'warning', code: 'NOTICE', message: 'nobody empties the bin', remedy: 'Empty it' },
    ]);
  });
});
