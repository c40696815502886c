import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import type { FormatContext, UploadFile } from '../../../src/formats/content-format.ts';
import { write } from '../../../src/formats/plain/write.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { passThrough } from '../../support/race.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const count = 20_000;
/** 280 if each result has a hidden class of its own. Path and hash are shared with what was asked for. */
const mostOfEach = 160;

it('of each of many files that were written, little more than its members is kept', async () => {
  const context: FormatContext = {
    remote: {
      ...passThrough(createMemoryRemote({ now: Date.now })),
      put: async () => ({ serverTime: new Date(0) }),
    },
    fs: nodeFileSystem,
    emit: () => undefined,
    settings: { concurrency: 8, history: 'copy' },
  };
  const upload: UploadFile[] = Array.from({ length: count }, (_, n) => ({
    path: `d${n % 100}/file-${n}`,
    size: n,
    mode: 0o644,
    mtimeMs: n + 0.5,
    sha256: n.toString(16).padStart(64, '0'),
  }));
  const work = { id: 'id', dir: '/nowhere', isOwn: true, reuse: [], onBytes: () => undefined };
  await write(context, { ...work, upload: upload.slice(0, 2000) });
  collect();
  const before = process.memoryUsage().heapUsed;
  const written = await write(context, { ...work, upload });
  collect();
  const each = (process.memoryUsage().heapUsed - before) / count;
  expect(written.files).toHaveLength(count);
  expect(each).toBeLessThan(mostOfEach);
});
