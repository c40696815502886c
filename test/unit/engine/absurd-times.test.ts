import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { lstat, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { createAgent } from '../../../src/in-process/create-agent.ts';
import { fileTimeMs } from '../../../src/platform/file-system.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

const hosts: Host[] = [];
const roots: string[] = [];
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.remove();
  for (const root of roots.splice(0)) await rm(root, { recursive: true });
});

const earliest = Date.UTC(1901, 11, 13, 20, 45, 52);
const latest = Date.UTC(2446, 4, 10, 22, 38, 55);

/** tmpfs holds any number of seconds; ext4 takes the nearest it has. */
const times: readonly (readonly [seconds: string, ms: number])[] = [
  ['-9223372036854775808', earliest],
  ['-62167219200', earliest],
  ['-2208988800', earliest],
  ['-86400', -86_400_000],
  ['-0.5', -500],
  ['0', 0],
  ['4102444800', 4_102_444_800_000],
  ['32503680000', latest],
  ['8640000000001', latest],
  ['9223372036854', latest],
];

describe('absurd times of files', () => {
  it('are taken for the nearest that can be written down, backed up, restored and looked at', async () => {
    if (!existsSync('/dev/shm')) console.warn('No tmpfs here: this disk may have no absurd times');
    const remote = createMemoryRemote({ now: Date.now });
    const here = await makeHost({ remote });
    const there = await makeHost({ remote });
    hosts.push(here, there);
    await here.write(Object.fromEntries(times.map(([seconds]) => [`at ${seconds}`, seconds])));
    for (const [seconds] of times)
      execFileSync('touch', ['-d', `@${seconds}`, join(here.store, `at ${seconds}`)]);
    expect(await here.agent.localStatus()).toMatchObject({ writtenAtMs: latest });
    const backup = await here.agent.backup();
    expect(backup).toMatchObject({ type: 'committed' });
    expect(await here.agent.backup()).toMatchObject({ type: 'unchanged' });
    expect(await here.agent.status()).toMatchObject({ relation: 'up-to-date' });
    expect(await there.agent.restore()).toMatchObject({ type: 'restored' });
    for (const [seconds, ms] of times)
      expect((await lstat(join(there.store, `at ${seconds}`))).mtimeMs).toBe(ms);
    expect(await there.agent.backup()).toMatchObject({ type: 'unchanged' });
  });

  it('do no harm in a directory remote', async () => {
    const root = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'absurd-'));
    roots.push(root);
    const host = await makeHost({ remote: createMemoryRemote({ now: Date.now }) });
    hosts.push(host);
    await host.write({ a: 'a' });
    const settings = { store: host.store, remote: pathToFileURL(join(root, 'remote')).href };
    const agent = createAgent(settings);
    await agent.backup();
    for (const seconds of ['9223372036854775807', '-9223372036854775808']) {
      execFileSync('find', [root, '-exec', 'touch', '-d', `@${seconds}`, '{}', '+']);
      expect(await agent.list()).toHaveLength(1);
      expect(await agent.prune({ dryRun: true })).toMatchObject({ dropped: [] });
      expect(await agent.verify({ all: true })).toMatchObject({ isSound: true });
    }
    await agent.close();
  });

  it.each([
    [0n, 0],
    [-(2n ** 63n) * 1_000_000_000n, earliest],
    [2n ** 63n * 1_000_000_000n, latest],
    [1_764_000_000_123_456_789n, 1_764_000_000_123],
  ])('%s ns are %s ms', (ns, ms) => expect(fileTimeMs(ns)).toBe(ms));
});
