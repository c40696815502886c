import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { memoryGroups } from './memory-groups.ts';
import type { MemoryGroup } from './memory-groups.ts';

/** How much of a limit is used: that of the host, or of a control group (a container, a service). */
export interface MemoryUse {
  /** For people: `the host`, `the cgroup "/system.slice/chroma.service"`. */
  readonly of: string;
  readonly usedBytes: number;
  readonly limitBytes: number;
}

export interface MemoryOptions {
  /** Processes whose groups count, as `/proc` names them. Default: this one. */
  readonly processes?: readonly (number | 'self')[] | undefined;
  /** Where `/proc` and `/sys` are found. Default: the root directory. */
  readonly root?: string | undefined;
}

/**
 * The memory of the host, and of each control group with a limit that holds one of the processes: their own and every ancestor's, because
 * the kernel kills in whichever is full. Empty where there is no `/proc`. What the kernel can give up without writing is not counted as
 * used: MemAvailable of the host (proc_meminfo(5)), and the inactive file pages of a group, as container runtimes count it.
 */
export async function memoryUse({ processes = ['self'], root = '/' }: MemoryOptions = {}): Promise<
  readonly MemoryUse[]
> {
  const host = await hostUse(root);
  if (host === undefined) return [];
  const groups = new Map<string, MemoryGroup>();
  for (const each of processes)
    for (const group of await memoryGroups(root, each)) groups.set(group.dir, group);
  const used = await Promise.all([...groups.values()].map((group) => groupUse(group, host.limitBytes)));
  return [host, ...used.flatMap((each) => each ?? [])];
}

/** The one that is fullest. Undefined if nothing is known. */
export function fullest(uses: readonly MemoryUse[]): MemoryUse | undefined {
  return uses.reduce<MemoryUse | undefined>(
    (most, each) => (most === undefined || shareOf(each) > shareOf(most) ? each : most),
    undefined,
  );
}

export const shareOf = ({ usedBytes, limitBytes }: MemoryUse): number => usedBytes / limitBytes;

async function hostUse(root: string): Promise<MemoryUse | undefined> {
  const text = await textOf(join(root, 'proc/meminfo'));
  const bytes = (name: string): number | undefined => {
    const kilobytes = new RegExp(`^${name}:\\s*([0-9]+) kB`, 'm').exec(text ?? '')?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  };
  const [total, available] = [bytes('MemTotal'), bytes('MemAvailable')];
  if (total === undefined || total === 0 || available === undefined) return undefined;
  return { of: 'the host', usedBytes: total - available, limitBytes: total };
}

/** Undefined for a group without a limit, which version 1 writes as one above all memory. */
async function groupUse(
  { dir, name, version }: MemoryGroup,
  hostBytes: number,
): Promise<MemoryUse | undefined> {
  const [limits, usage, inactive] =
    version === 2
      ? [['memory.max', 'memory.high'], 'memory.current', 'inactive_file']
      : [['memory.limit_in_bytes'], 'memory.usage_in_bytes', 'total_inactive_file'];
  const [stat, used, ...found] = await Promise.all(
    ['memory.stat', usage, ...limits].map((file) => textOf(join(dir, file))),
  );
  // Above `memory.high` the kernel slows a group down until it gives memory back: no writer gets on there.
  const limitBytes = Math.min(...found.map((text) => numberIn(text) ?? Infinity));
  const usedBytes = numberIn(used);
  if (usedBytes === undefined || !(limitBytes < hostBytes) || limitBytes === 0) return undefined;
  const reclaimable = numberIn(new RegExp(`^${inactive} ([0-9]+)$`, 'm').exec(stat ?? '')?.[1]) ?? 0;
  return { of: `the cgroup "${name}"`, usedBytes: Math.max(0, usedBytes - reclaimable), limitBytes };
}

/** Undefined for `max`, and for a file that is not there. */
const numberIn = (text: string | undefined): number | undefined =>
  text !== undefined && /^[0-9]+\s*$/.test(text) ? Number(text) : undefined;

const textOf = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);
