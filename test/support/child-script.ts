import { fileURLToPath } from 'node:url';
import { scriptFromSources } from '../../src/platform/script-from-sources.ts';

/** Programs of this directory that tests start as processes of their own. `build-scripts.ts` bundles them. */
export const childScripts = [
  'append-many-child',
  'busy-writer-child',
  'commit-many-child',
  'lease-holder-child',
] as const;

/** The file to run, and what Node needs to run it: nothing with a bundle, a loader without one. */
export function childScript(name: (typeof childScripts)[number]): {
  readonly file: string;
  readonly execArgv: readonly string[];
} {
  const { url, needsLoader } = scriptFromSources(name, import.meta.url);
  return {
    file: fileURLToPath(url),
    execArgv: needsLoader ? ['--import', import.meta.resolve('tsx')] : [],
  };
}
