import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const manyItems = 20_000;

/**
 * Keeps the heap small where there are many files to hold: from then on V8 collects whenever it has grown by a tenth, instead of
 * doubling first. Of a backup or a restore of 100,000 files, more than half of the heap was garbage. It costs a fifth of the processor time
 * there, and more than it saves where little is held, so a few files change nothing. V8 decides after each collection when the
 * next one comes (MemoryController::DynamicGrowingFactor in src/heap/memory-balancer of its source), so there is one at once.
 */
export function spareHeap(items: number): void {
  if (items < manyItems) return;
  setFlagsFromString('--heap-growing-percent=10');
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
