import { parentPort } from 'node:worker_threads';
import { compareChunks } from './compare-chunks.ts';
import type { SharedComparison } from './compare-chunks.ts';

/** Takes chunks of each comparison that it is sent, and answers when none is left. An error ends it. */
parentPort?.on('message', (comparison: SharedComparison) => {
  compareChunks(comparison);
  parentPort?.postMessage('done', []);
});
parentPort?.postMessage('ready', []);
