import { readFile } from 'node:fs/promises';

/**
 * All mount points, as absolute paths. A bind mount has the device number of its parent, so only the kernel's table shows
 * it. Empty on systems other than Linux.
 */
export async function mountPoints(): Promise<ReadonlySet<string>> {
  const table = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  const unescape = (field: string): string =>
    field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return new Set(table.split('\n').map((line) => unescape(line.split(' ')[4] ?? '')));
}

/** Mount points below `dir`, relative to it and sorted. Without those that are below another one. They may be files. */
export async function mountsBelow(dir: string): Promise<readonly string[]> {
  const base = `${dir}/`;
  const found = [...(await mountPoints())]
    .filter((path) => path.startsWith(base))
    .map((path) => path.slice(base.length))
    .toSorted();
  return found.filter((path) => !found.some((other) => path.startsWith(`${other}/`)));
}
