import { mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAgent } from '../../../src/in-process/create-agent.ts';
import type { Agent } from '../../../src/api/agent.ts';
import { fastTmp } from '../../support/host.ts';

let root: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(fastTmp, 'sync-agent-home-')));
  await mkdir(join(root, 'real/st'), { recursive: true });
  await writeFile(join(root, 'real/st/a'), 'one');
  await symlink('real', join(root, 'cur'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const agentOf = (store: string, remote: string): Agent =>
  createAgent({ store: join(root, store), remote: pathToFileURL(join(root, remote)).href });
const usage = (...names: readonly string[]) => ({
  code: 'USAGE',
  message: expect.stringMatching(names.map((name) => `"${join(root, name)}".*`).join('')) as unknown,
});

describe('a directory remote', () => {
  it.each([
    ['cur/st', 'cur/st/backup'],
    ['cur/st', 'real/st/not/yet/there'],
    ['real/st', 'cur/st/backup'],
    ['cur/st', 'cur/.st.sync-agent/remote'],
    ['cur/remote/not/yet', 'cur/remote'],
  ])('is not made where links lead into the store or its home: %s, %s', async (store, remote) => {
    await expect(agentOf(store, remote).status()).rejects.toMatchObject({ code: 'USAGE' });
    await expect(agentOf(store, remote).backup()).rejects.toMatchObject({ code: 'USAGE' });
    expect(await readdir(join(root, 'real/st'))).toEqual(['a']);
  });
});

describe('a restore to a directory', () => {
  it('refuses one inside the store or its home, and touches neither', async () => {
    const agent = agentOf('cur/st', 'remote');
    await agent.backup();
    const before = await readdir(join(root, 'real'), { recursive: true });
    for (const to of ['real/st/inner', 'cur/st/in/ner'])
      await expect(agent.restoreTo(join(root, to))).rejects.toMatchObject(
        usage(to.replace('cur', 'real'), 'real/st'),
      );
    for (const to of ['real/.st.sync-agent', 'cur/.st.sync-agent/x'])
      await expect(agent.restoreTo(join(root, to))).rejects.toMatchObject(
        usage(to.replace('cur', 'real'), 'real/.st.sync-agent', 'real/st'),
      );
    expect(await readdir(join(root, 'real'), { recursive: true })).toEqual(before);
    expect(await agent.restoreTo(join(root, 'real/st-beside'))).toMatchObject({ type: 'restored-to' });
  });

  it('does not ask what became of the store', async () => {
    await agentOf('cur/st', 'remote').backup();
    await symlink('nowhere', join(root, 'dangling'));
    const agent = agentOf('dangling', 'remote');
    expect(await agent.restoreTo(join(root, 'look'))).toMatchObject({ type: 'restored-to' });
  });
});
