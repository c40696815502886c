import { readFile } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';

/** A control group that accounts memory. */
export interface MemoryGroup {
  readonly version: 1 | 2;
  /** The directory that has its files. */
  readonly dir: string;
  /** As seen from here: `/` is the container's own. */
  readonly name: string;
}

/**
 * The group of a process and all its ancestors that can be seen, in both versions: hybrid hosts mount the two (cgroups(7)). In a container
 * the mount shows the container's own group as its root, and the path may be one of the host: then the mount's root stands for it.
 */
export async function memoryGroups(root: string, process: number | 'self'): Promise<readonly MemoryGroup[]> {
  const [groups, mounts] = await Promise.all(
    ['cgroup', 'mountinfo'].map((name) =>
      readFile(join(root, 'proc', String(process), name), 'utf8').catch(() => ''),
    ),
  );
  return [...pathsOf(groups ?? '')].flatMap(([version, path]) => {
    const mount = mountOf(mounts ?? '', version);
    return mount === undefined ? [] : upwards(root, version, mount, path);
  });
}

/** Lines such as `4:memory:/docker/1f…` and `0::/system.slice/app.service`. */
function pathsOf(text: string): ReadonlyMap<1 | 2, string> {
  const paths = new Map<1 | 2, string>();
  for (const line of text.split('\n')) {
    const [, number, controllers, path] = /^([0-9]+):([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    if (number === '0' && controllers === '') paths.set(2, path);
    if (controllers?.split(',').includes('memory') === true) paths.set(1, path);
  }
  return paths;
}

interface Mount {
  /** The group that the mount shows. */
  readonly root: string;
  readonly point: string;
}

/** Fields 4 and 5 of a line, then after ` - ` the type and the options (proc_pid_mountinfo(5)). */
function mountOf(text: string, version: 1 | 2): Mount | undefined {
  for (const line of text.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root, point] = before.split(' ');
    const [type, , options = ''] = after.split(' ');
    if (root === undefined || point === undefined) continue;
    const isIt =
      version === 2 ? type === 'cgroup2' : type === 'cgroup' && options.split(',').includes('memory');
    if (isIt) return { root: unescape(root), point: unescape(point) };
  }
  return undefined;
}

function upwards(root: string, version: 1 | 2, mount: Mount, path: string): readonly MemoryGroup[] {
  const below = posix.relative(mount.root, path);
  let name = below === '..' || below.startsWith('../') ? '/' : posix.join('/', below);
  const groups: MemoryGroup[] = [];
  for (;;) {
    groups.push({ version, dir: join(root, mount.point, name), name });
    if (name === '/') return groups;
    name = dirname(name);
  }
}

/** Spaces and the like are written as `\040`. */
const unescape = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCodePoint(Number.parseInt(octal, 8)));
