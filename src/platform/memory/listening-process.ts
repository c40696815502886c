import { readFile, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** `0A` in the column `st` (proc_pid_net(5)). */
const listening = '0A';

/**
 * The process of this host that listens on a TCP port. Undefined if there is none, if this user may not see it, or where there is no
 * `/proc`.
 */
export async function listeningProcess(port: number): Promise<number | undefined> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  );
  const inodes = new Set(tables.flatMap((table) => inodesOf(table, port)));
  if (inodes.size === 0) return undefined;
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^[0-9]+$/.test(name)) continue;
    const dir = join('/proc', name, 'fd');
    for (const descriptor of await readdir(dir).catch(() => [])) {
      const target = await readlink(join(dir, descriptor)).catch(() => '');
      const inode = /^socket:\[([0-9]+)\]$/.exec(target)?.[1];
      if (inode !== undefined && inodes.has(inode)) return Number(name);
    }
  }
  return undefined;
}

/** Columns: `sl local_address rem_address st … inode`, the port in hexadecimal. */
function inodesOf(table: string, port: number): readonly string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return table.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, local = '', , state] = fields;
    const inode = fields[9];
    return state === listening && local.endsWith(`:${hex}`) && inode !== undefined ? [inode] : [];
  });
}
