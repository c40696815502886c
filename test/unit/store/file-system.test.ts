import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { nodeFileSystem } from '../../../src/store/file-system.ts';

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
