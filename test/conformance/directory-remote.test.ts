import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDirectoryRemote } from '../../src/remotes/directory/directory-remote.ts';
import { describeRemote } from './remote-conformance.ts';

describeRemote('directory remote', async () => {
  const home = await mkdtemp(join(tmpdir(), 'sync-agent-directory-'));
  return {
    remote: createDirectoryRemote({ path: join(home, 'remote') }),
    close: () => rm(home, { recursive: true, force: true }),
  };
});
