import type { CodeCheck, Kind } from './kind.ts';

/** All that is known of one setting. Flags, variables, config files, checks, help and the reference come from it. */
export interface Setting<T = unknown> {
  readonly kind: Kind<T>;
  /** One line of --help: what it is or does, with its unit. The default is added. */
  readonly help: string;
  /** Further sentences for docs/configuration.md, as Markdown. */
  readonly details?: string;
  /** As a person would write it. */
  readonly default?: string;
  /** What happens without the setting, if another part of the program decides that. */
  readonly defaultNote?: string;
  /** Its name in the library, `s3.x` for `x` within `s3`; none if only the command line has it. */
  readonly library?: string | InLibrary<T>;
  /** No message quotes it. A `credential` is never written to a config; the other is, unless it has a credential in it. */
  readonly secrecy?: 'credential' | 'may-hold-credential';
  /** This is another name of that setting. */
  readonly aliasOf?: string;
  /**
   * `place`: it tells where the store or the remote is, so `init` asks for it, and commands that are shown for typing repeat it.
   * `run`: it is about one run only, so `init` does not write it to a config.
   */
  readonly scope?: 'place' | 'run';
}

/** A setting whose value differs in the library. */
export interface InLibrary<T> {
  readonly name: string;
  readonly check: CodeCheck;
  // A method, so that a table may hold settings of any type.
  from(value: T): unknown;
}

export type SettingTable = Readonly<Record<string, Setting>>;

export const environmentPrefix = 'SYNC_AGENT_';

/** `s3.partSize` becomes `s3-part-size`. */
export function flagOf(key: string): string {
  return key.replace('.', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `s3.partSize` becomes `SYNC_AGENT_S3_PART_SIZE`. */
export function variableOf(key: string): string {
  return environmentPrefix + flagOf(key).replaceAll('-', '_').toUpperCase();
}
