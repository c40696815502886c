import { yesOrNo } from '../kind.ts';
import type { SettingTable } from '../setting.ts';

/** How one run of the command line talks. */
export const outputTable = {
  json: { kind: yesOrNo, help: 'Print one JSON document on stdout', scope: 'run' },
  quiet: { kind: yesOrNo, help: 'Print warnings and errors only', scope: 'run' },
  verbose: { kind: yesOrNo, help: 'Print more about what happens', scope: 'run' },
  noProgress: { kind: yesOrNo, help: 'Print no progress bar', scope: 'run' },
  debug: { kind: yesOrNo, help: 'Print stack traces of errors', scope: 'run' },
} as const satisfies SettingTable;
