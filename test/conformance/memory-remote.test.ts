import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import { describeRemote } from './remote-conformance.ts';

describeRemote('memory remote', async () => ({
  remote: createMemoryRemote({ now: () => Date.now() }),
  close: async () => {},
}));
