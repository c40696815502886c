import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { fingerprint } from '../../../src/stores/content/fingerprint.ts';
import { scanStore } from '../../../src/stores/content/scan.ts';

it.each([-86_400_000, -1500, 0, 1e-3, 1_690_000_000_123])(
  'a file keeps its time %d, milliseconds since 1970',
  async (mtimeMs) => {
    const dir = await mkdtemp(join(tmpdir(), 'sync-agent-times-'));
    try {
      const path = join(dir, 'file');
      await writeFile(path, '');
      await nodeFileSystem.setAttributes(path, { mtimeMs });
      expect((await stat(path)).mtimeMs).toBeCloseTo(mtimeMs, 2);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  },
);

it('a change of a directory’s permissions is a change of the store', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sync-agent-modes-'));
  try {
    await mkdir(join(dir, 'sub'));
    const print = async () => fingerprint(await scanStore(dir));
    const prints = [await print()];
    for (const [path, mode] of [
      ['sub', 0o700],
      ['.', 0o711],
    ] as const) {
      await chmod(join(dir, path), mode);
      prints.push(await print());
    }
    expect(new Set(prints).size).toBe(3);
    await chmod(join(dir, '.'), 0o700);
    expect(await print()).toBe(prints[1]);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
