import type { TestProject } from 'vitest/node';
import { buildPackage, builtVariable } from './built-cli.ts';

/** The package is built once for all projects of a run, which find it by a variable. Watched sources change. */
export function setup({ config }: TestProject): (() => void) | undefined {
  if (config.watch || process.env[builtVariable] !== undefined) return undefined;
  const { bin, remove } = buildPackage();
  process.env[builtVariable] = bin;
  return () => {
    delete process.env[builtVariable];
    remove();
  };
}
