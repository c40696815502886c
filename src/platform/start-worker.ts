import { Worker } from 'node:worker_threads';
import { scriptFromSources } from './script-from-sources.ts';

/**
 * Starts the script `name`, which lies beside the module `from`, in a thread of its own. tsx, told by `--import`, does nothing in
 * a thread: if it runs from sources without a bundle, the thread registers it by hand.
 */
export function startWorker(name: string, from: string, workerData?: unknown): Worker {
  // By default the young objects of a thread may take 48 MB, which saves no time here.
  const options = { workerData, execArgv: [], resourceLimits: { maxYoungGenerationSizeMb: 4 } };
  if (!from.endsWith('.ts')) return new Worker(new URL(`./${name}.js`, from), options);
  const { url, needsLoader } = scriptFromSources(name, from);
  if (!needsLoader) return new Worker(url, options);
  const tsx = import.meta.resolve('tsx/esm/api');
  const script = `import(${JSON.stringify(tsx)}).then(({ register }) => (register(), import(${JSON.stringify(url.href)})))`;
  return new Worker(script, { ...options, eval: true });
}
