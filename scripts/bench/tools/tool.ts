import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from '../measure/run-measured.ts';

export const repository = fileURLToPath(new URL('../../..', import.meta.url));

/** Where a tool keeps its copies. */
export type Target =
  | {
      readonly type: 's3';
      readonly endpoint: string;
      readonly bucket: string;
      /** AWS_ACCESS_KEY_ID and what else a client needs. */
      readonly env: Readonly<Record<string, string>>;
    }
  | { readonly type: 'directory'; readonly path: string };

/** Where one tool works in one round. */
export interface Place {
  readonly store: string;
  /** A directory for the tool's own state and cache. */
  readonly home: string;
  readonly target: Target;
}

export interface Tool {
  readonly name: string;
  readonly version: string;
  readonly targets: readonly Target['type'][];
  /** Run once, unmeasured, before the first backup. */
  prepare?(place: Place): Command;
  backup(place: Place): Command;
  restore(place: Place): Command;
  /** What a new host would not have. */
  localState(place: Place): readonly string[];
}

/** Only what a tool needs: no proxies, no certificates, no settings of whoever runs this. */
export function environment({ home, target }: Place): Record<string, string> {
  const keys = target.type === 's3' ? target.env : {};
  return { PATH: process.env['PATH'] ?? '', HOME: home, LANG: 'C.UTF-8', ...keys };
}

/** A program in PATH; not a version manager's shell script that starts the program. */
export function findProgram(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((dir) => dir !== '' && !dir.endsWith('/shims'))
    .map((dir) => join(dir, name))
    .find((path) => existsSync(path));
}
