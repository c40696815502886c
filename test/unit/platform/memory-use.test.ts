import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fullest, memoryUse } from '../../../src/platform/memory/memory-use.ts';

const mebibyte = 2 ** 20;
let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'memory-'));
  put(
    'proc/meminfo',
    'MemTotal:       16384000 kB\nMemFree:         100000 kB\nMemAvailable:   12288000 kB\n',
  );
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(path: string, text: string | number): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), `${text}${typeof text === 'number' ? '\n' : ''}`);
}
/** The process's own files in /proc. */
function processIn(cgroup: string, mountinfo: string, process = 'self'): void {
  put(`proc/${process}/cgroup`, cgroup);
  put(`proc/${process}/mountinfo`, mountinfo);
}
const unified = '29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n';
const version1 =
  '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n';
function group2(
  dir: string,
  files: { max?: string | number; high?: string | number; current: number; inactive?: number },
): void {
  const { max = 'max\n', high = 'max\n', current, inactive = 0 } = files;
  put(`sys/fs/cgroup${dir}/memory.max`, max);
  put(`sys/fs/cgroup${dir}/memory.high`, high);
  put(`sys/fs/cgroup${dir}/memory.current`, current);
  put(`sys/fs/cgroup${dir}/memory.stat`, `anon 1\nfile 2\ninactive_file ${inactive}\nactive_file 7\n`);
}
function group1(dir: string, limit: string | number, usage: number, inactive = 0): void {
  put(`sys/fs/cgroup/memory${dir}/memory.limit_in_bytes`, limit);
  put(`sys/fs/cgroup/memory${dir}/memory.usage_in_bytes`, usage);
  put(
    `sys/fs/cgroup/memory${dir}/memory.stat`,
    `cache 5\ninactive_file 0\ntotal_inactive_file ${inactive}\n`,
  );
}
const shares = async (processes?: readonly (number | 'self')[]) =>
  (await memoryUse({ root, processes })).map(({ of, usedBytes, limitBytes }) => [of, usedBytes / limitBytes]);

it('of the host is what is not available, not what is not free', async () => {
  expect(await memoryUse({ root })).toEqual([
    { of: 'the host', usedBytes: 4_096_000 * 1024, limitBytes: 16_384_000 * 1024 },
  ]);
});

it('is unknown where there is no /proc', async () => {
  expect(await memoryUse({ root: join(root, 'nowhere') })).toEqual([]);
  expect(fullest([])).toBeUndefined();
});

describe('of version 2', () => {
  it('counts the limit of every ancestor, and no cache that can be given up', async () => {
    processIn('0::/system.slice/docker-1f.scope/app\n', unified);
    group2('/system.slice/docker-1f.scope/app', { current: 10 * mebibyte });
    group2('/system.slice/docker-1f.scope', {
      max: 100 * mebibyte,
      current: 95 * mebibyte,
      inactive: 5 * mebibyte,
    });
    group2('/system.slice', { max: 1000 * mebibyte, current: 100 * mebibyte });
    expect(await shares()).toEqual([
      ['the host', 0.25],
      ['the cgroup "/system.slice/docker-1f.scope"', 0.9],
      ['the cgroup "/system.slice"', 0.1],
    ]);
    expect(fullest(await memoryUse({ root }))?.of).toBe('the cgroup "/system.slice/docker-1f.scope"');
  });

  it('takes memory.high for a limit, above which nothing gets on', async () => {
    processIn('0::/a\n', unified);
    group2('/a', { max: 100 * mebibyte, high: 50 * mebibyte, current: 25 * mebibyte });
    expect(await shares()).toEqual([['the host', 0.25], ['the cgroup "/a"', 0.5]]); // prettier-ignore
  });

  it('finds the root of a container, whatever path of the host the kernel says', async () => {
    const own = '900 880 0:26 /../../docker/1f /sys/fs/cgroup ro - cgroup2 cgroup rw\n';
    processIn('0::/../../other\n', own);
    group2('', { max: 200 * mebibyte, current: 100 * mebibyte });
    expect(await shares()).toEqual([['the host', 0.25], ['the cgroup "/"', 0.5]]); // prettier-ignore
  });
});

describe('of version 1', () => {
  it('counts the limit of every ancestor, and takes the largest number for none', async () => {
    processIn('5:cpu,cpuacct:/\n4:memory:/docker/1f/x\n0::/\n', version1);
    group1('/docker/1f/x', '9223372036854771712', 7);
    group1('/docker/1f', 100 * mebibyte, 80 * mebibyte, 20 * mebibyte);
    group1('/docker', '9223372036854771712', 7);
    expect(await shares()).toEqual([['the host', 0.25], ['the cgroup "/docker/1f"', 0.6]]); // prettier-ignore
  });

  it("finds the container's own group, which its mount shows as the root", async () => {
    const own = '700 690 0:32 /docker/1f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n';
    processIn('4:memory:/docker/1f\n', own);
    group1('', 100 * mebibyte, 30 * mebibyte);
    expect(await shares()).toEqual([['the host', 0.25], ['the cgroup "/"', 0.3]]); // prettier-ignore
  });
});

it('of several processes counts each group once', async () => {
  processIn('0::/pod/agent\n', unified);
  processIn('0::/pod/server\n', unified, '77');
  group2('/pod', { max: 100 * mebibyte, current: 50 * mebibyte });
  group2('/pod/agent', { max: 20 * mebibyte, current: 2 * mebibyte });
  group2('/pod/server', { max: 50 * mebibyte, current: 40 * mebibyte });
  expect(await shares(['self', 77])).toEqual([
    ['the host', 0.25],
    ['the cgroup "/pod/agent"', 0.1],
    ['the cgroup "/pod"', 0.5],
    ['the cgroup "/pod/server"', 0.8],
  ]);
});

it('of a process that is gone is that of the host', async () => {
  expect(await shares([4242])).toEqual([['the host', 0.25]]);
});
