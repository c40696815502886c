import { readFileSync } from 'node:fs';

/** The kernel counts in hundredths of a second, whatever it runs on (USER_HZ). */
const msPerTick = 10;

/** User and system time of these processes so far. */
export function cpuMsOf(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    // After the program's name, which may contain spaces: fields 3 and on of proc(5).
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    return Number(fields[11]) + Number(fields[12]);
  });
  return sum(ticks) * msPerTick;
}

/** What all processors together have worked so far, for anybody. */
export function busyMsOfMachine(): number {
  const [user, nice, system, , , irq, softIrq] = (readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? '')
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return sum([user, nice, system, irq, softIrq].map((ticks) => ticks ?? 0)) * msPerTick;
}

/** User and system time of this process so far. */
export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
