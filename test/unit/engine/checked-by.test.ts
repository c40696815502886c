import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AgentSettings } from '../../../src/in-process/agent-settings.ts';
import { commitKey } from '../../../src/log/layout.ts';
import { encodeManifest } from '../../../src/log/manifest-text.ts';
import { readManifest } from '../../../src/log/read-manifest.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import type { InspectOptions } from '../../../src/stores/adapter.ts';
import { kinds, plainKind } from '../../../src/stores/find-kind.ts';
import type { StoreKind } from '../../../src/stores/store-kind.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

/** A kind of store whose checks find damage that they did not find when the snapshot was made. */
const severe: StoreKind = {
  ...plainKind,
  name: 'severe',
  detect: async () => true,
  inspect: async (_, { level }) => {
    inspections += 1;
    const message = `it is not what it should be: ${level}`;
    const damage = foundLater ? [{ kind: 'database' as const, where: 'a.db', message }] : [];
    return { damage, findings: [], statistics: { records: 0 } };
  },
};
let foundLater = false;
let inspections = 0;

let remote: Remote;
let maker: Host;
const hosts: Host[] = [];
beforeEach(async () => {
  foundLater = false;
  (kinds as StoreKind[]).unshift(severe);
  remote = createMemoryRemote({ now: Date.now });
  maker = await host();
  await maker.write({ 'a.db': 'a database', 'a.log': 'a further file' });
});
afterEach(async () => {
  (kinds as StoreKind[]).shift();
  for (const each of hosts.splice(0)) await each.remove();
});

async function host(settings: Partial<AgentSettings> = {}): Promise<Host> {
  const made = await makeHost({ remote, settings });
  hosts.push(made);
  return made;
}

const source = () => ({ remote, formats: { numbers: [1] } });

/** Writes another name, or none, into the manifest of the first commit. */
async function recordChecker(checkedBy: string | undefined): Promise<void> {
  const manifest = await readManifest(source(), commitKey(1));
  await remote.put(commitKey(1), textBody(encodeManifest({ ...manifest, checkedBy })));
}

describe('a restore of what the same agent found sound before the commit', () => {
  const restoreWith = async (settings: Partial<AgentSettings> = {}): Promise<unknown> =>
    (await host(settings)).agent.restore();
  const found = (level: InspectOptions['level']) => ({
    code: 'SNAPSHOT_CORRUPT',
    message: expect.stringContaining(`not what it should be: ${level}`) as string,
  });

  beforeEach(async () => {
    await maker.agent.backup();
    foundLater = true;
  });

  it('checks nothing again: the hashes prove the bytes', async () => {
    inspections = 0;
    expect(await restoreWith()).toMatchObject({ type: 'restored' });
    expect(inspections).toBe(0);
  });

  it('checks it if another version of the agent made it, or nobody said who checked it, as in older versions', async () => {
    expect((await readManifest(source(), commitKey(1))).checkedBy).toMatch(/^sync-agent\/\d/);
    for (const other of ['sync-agent/99.0.0', undefined]) {
      await recordChecker(other);
      await expect(restoreWith()).rejects.toMatchObject(found('proven'));
    }
  });

  it('checks it with --full-check', async () => {
    await expect(restoreWith({ validation: 'full' })).rejects.toMatchObject(found('full'));
  });

  it('checks what is left of it if a part is excluded here', async () => {
    await expect(restoreWith({ exclude: ['*.log'] })).rejects.toMatchObject(found('proven'));
  });
});

it('a snapshot of a damaged store says nothing of checks', async () => {
  foundLater = true;
  await maker.agent.backup({ acceptDamage: true });
  expect(await readManifest(source(), commitKey(1))).not.toHaveProperty('checkedBy');
});
