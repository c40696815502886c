import { createMemoryStore } from '../../src/remotes/memory/memory-store.ts';
import { describeObjectStore } from './object-store.ts';

describeObjectStore('memory store', async () => ({
  store: createMemoryStore({ now: () => Date.now() }),
  close: async () => {},
}));
