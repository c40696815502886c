import { spawnSync } from 'node:child_process';

const runs = 9;

/** How long Node takes without a program, milliseconds: a median. It says how fast the machine is, and is part of each start. */
export function measureNodeStart(): number {
  const times = Array.from({ length: runs }, () => {
    const began = performance.now();
    spawnSync(process.execPath, ['-e', '0']);
    return performance.now() - began;
  });
  return times.toSorted((a, b) => a - b)[runs >> 1] ?? 0;
}
