import { exitCodes } from '../../../platform/errors.ts';
import type { DoctorReport } from '../../../engine/doctor/doctor.ts';
import { printable } from '../../../report/format.ts';
import type { Style } from '../../../report/style.ts';
import type { Command } from '../command.ts';

export const doctorCommand: Command = {
  name: 'doctor',
  describe: 'Test permissions, server, store and disk, and say what to fix',
  isQuery: true,
  run: async ({ agent, signal, style }) => {
    const result = await agent.doctor({ signal });
    return {
      result,
      lines: doctorLines(result, style),
      exitCode: result.worst === undefined ? 0 : exitCodes[result.worst],
    };
  },
};

/** One line for each check, and one for its remedy. */
export function doctorLines({ checks }: DoctorReport, style: Style): readonly string[] {
  const marks = { ok: style.green('ok  '), warn: style.yellow('warn'), fail: style.red('FAIL') };
  const width = Math.max(...checks.map(({ name }) => name.length));
  return checks.flatMap(({ name, status, detail, remedy }) => [
    `${marks[status]}  ${name.padEnd(width)}  ${printable(detail)}`,
    ...(remedy === undefined ? [] : [`${' '.repeat(width + 8)}${printable(remedy)}`]),
  ]);
}
