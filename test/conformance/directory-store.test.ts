import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDirectoryStore } from '../../src/remotes/directory/directory-store.ts';
import { describeObjectStore } from './object-store.ts';

describeObjectStore('directory store', async () => {
  const home = await mkdtemp(join(tmpdir(), 'sync-agent-directory-'));
  return {
    store: createDirectoryStore({ path: join(home, 'remote') }),
    close: () => rm(home, { recursive: true, force: true }),
  };
});
