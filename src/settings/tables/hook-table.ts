import { durationForm, kind, milliseconds, readDuration, text } from '../kind.ts';
import type { SettingTable } from '../setting.ts';

const hook = text('a shell command or an http(s) URL');

export const hookTable = {
  hookBeforeBackup: {
    kind: hook,
    help: 'Shell command to run, or URL to POST to, before each backup',
    details: 'See [hooks](#hooks).',
    library: 'hooks.beforeBackup',
    secrecy: 'may-hold-credential',
  },
  hookAfterBackup: {
    kind: hook,
    help: 'Command or URL for after each backup, also a failed one',
    library: 'hooks.afterBackup',
    secrecy: 'may-hold-credential',
  },
  hookBeforeRestore: {
    kind: hook,
    help: 'Command or URL for before each restore; a command that fails stops it',
    library: 'hooks.beforeRestore',
    secrecy: 'may-hold-credential',
  },
  hookAfterRestore: {
    kind: hook,
    help: 'Command or URL for after each restore, also a failed one',
    library: 'hooks.afterRestore',
    secrecy: 'may-hold-credential',
  },
  hookOnDamage: {
    kind: hook,
    help: 'Command or URL for after a check (--check-interval) that finds damage',
    library: 'hooks.onDamage',
    secrecy: 'may-hold-credential',
  },
  hookAfterDrill: {
    kind: hook,
    help: 'Command or URL for after each drill, also a failed one',
    library: 'hooks.afterDrill',
    secrecy: 'may-hold-credential',
  },
  hookTimeout: {
    kind: kind({
      expected: `${durationForm}, above 0`,
      read: (input) => readDuration(input) || undefined,
      inCode: milliseconds,
    }),
    help: 'Time that each hook may take',
    default: '30s',
    library: 'hooks.timeoutMs',
  },
} as const satisfies SettingTable;
