import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FileSystem } from '../../src/platform/file-system.ts';
import { createDirectoryRemote } from '../../src/remotes/directory/directory-remote.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import { untilCut } from '../support/cut-everywhere.ts';
import { fastTmp, makeHost } from '../support/host.ts';
import { Power, poweredFileSystem } from '../support/power.ts';

/** So many that they are made durable together. */
const files = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`${n % 7}/f${n}`, `text ${n}`]));
const cuts = 3;

/** Backs up to a directory, on the disk whose power fails. What was committed must be whole. */
async function backUp(power: Power, disk: (fs: FileSystem) => FileSystem): Promise<void> {
  const dir = await mkdtemp(join(fastTmp, 'sync-agent-many-'));
  const path = join(dir, 'remote');
  const fs = disk(poweredFileSystem(power));
  const host = await makeHost({ remote: createDirectoryRemote({ path, fs }), fs });
  const other = await makeHost({ remote: createDirectoryRemote({ path }) });
  try {
    await host.write(files);
    await untilCut(power, host.agent.backup());
    if ((await other.agent.list()).length === 0) return;
    // Reads the objects, and no current file in their place.
    expect((await other.agent.verify({ readData: true })).isSound).toBe(true);
    await other.agent.restore();
    expect(await other.read()).toEqual(files);
  } finally {
    for (const each of [host, other]) await each.remove();
    await rm(dir, { recursive: true });
  }
}

/** Restores on a bare machine whose power fails, and again when it is back. */
async function restore(power: Power, disk: (fs: FileSystem) => FileSystem): Promise<void> {
  const remote = createMemoryRemote({ now: Date.now });
  const source = await makeHost({ remote });
  const host = await makeHost({ remote, fs: disk(poweredFileSystem(power)) });
  try {
    await source.write(files);
    await source.agent.backup();
    await untilCut(power, host.agent.restore());
    const again = await makeHost({ remote, root: host.root });
    await again.agent.restore();
    expect(await again.read()).toEqual(files);
  } finally {
    for (const each of [source, host]) await each.remove();
  }
}

const works = [
  { name: 'a backup to a directory', suffer: backUp },
  { name: 'a restore', suffer: restore },
];

describe('a power cut, with many small files', () => {
  for (const { name, suffer } of works) {
    /** Some of the effects from the first on by which all is synced: before it, nothing counts. */
    const cutAfterSync = async (disk: (fs: FileSystem) => FileSystem): Promise<void> => {
      const whole = new Power();
      await suffer(whole, disk);
      const first = whole.effects.findIndex((effect) => effect.startsWith('sync all')) + 1;
      expect(first).toBeGreaterThan(Object.keys(files).length);
      const left = whole.effects.length - first;
      const step = Math.max(1, Math.floor(left / cuts));
      for (let at = first; at <= whole.effects.length; at += step) await suffer(new Power(at), disk);
    };

    it(`in ${name} loses nothing`, () => cutAfterSync((fs) => fs));

    it(`in ${name} would be caught if the sync of all said so and was none`, async () => {
      const lying = (fs: FileSystem): FileSystem => ({
        ...fs,
        syncAll: (path) => fs.setAttributes(path, { mode: 0o700 }).then(() => true),
      });
      const whole = new Power();
      await suffer(whole, lying);
      const cutLate = async (): Promise<void> => {
        for (let back = 0; back < 2 * cuts; back += 1)
          await suffer(new Power(whole.effects.length - back), lying);
      };
      await expect(cutLate()).rejects.toThrow();
    });
  }
});
