import { readFile } from 'node:fs/promises';

/** Of a process, bytes. Null if it is gone, or where there is no `/proc` (proc_pid_status(5)). */
export async function residentMemory(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /^VmRSS:\s*([0-9]+) kB/m.exec(text)?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) * 1024;
}
