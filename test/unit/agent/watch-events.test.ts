import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { watchEvents } from '../../../src/agent/watch/watch-events.ts';
import type { EventWatch } from '../../../src/agent/watch/watch-events.ts';
import type { Exclusions } from '../../../src/stores/content/exclusions.ts';

let root = '';
const watches: EventWatch[] = [];
afterEach(async () => {
  for (const watch of watches.splice(0)) await watch.close();
  await rm(root, { recursive: true, force: true });
});

interface Heard {
  count: number;
  readonly next: () => Promise<void>;
}

async function listen(exclude: Exclusions): Promise<Heard> {
  let wake = (): void => undefined;
  const heard: Heard = { count: 0, next: () => new Promise((resolve) => (wake = resolve)) };
  const watch = await watchEvents(root, {
    exclude,
    onEvent: () => {
      heard.count += 1;
      wake();
    },
    onError: (error) => {
      throw error;
    },
  });
  watches.push(watch);
  return heard;
}

it('events of what is excluded or foreign are not told', async () => {
  root = await mkdtemp(join(tmpdir(), 'watch-events-'));
  for (const name of ['inner', 'cache', 'lost+found']) await mkdir(join(root, name));
  const some = await listen(['*.log', '/cache/']);
  const all = await listen([]);
  for (const path of ['inner/app.log', 'cache/x', '.nfs000000000000000100000002', 'lost+found/#1']) {
    const told = path.startsWith('inner') || path.startsWith('cache') ? all.next() : undefined;
    await writeFile(join(root, path), 'x');
    await told;
  }
  expect(some.count).toBe(0);
  const told = some.next();
  await writeFile(join(root, 'inner/a'), 'a');
  await told;
  expect(some.count).toBe(1);
});
