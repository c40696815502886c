import { pathToFileURL } from 'node:url';

/** Names a directory with bundles of the scripts below, made once for a whole run of the tests. */
const bundlesVariable = 'SYNC_AGENT_TEST_SCRIPTS';

/**
 * Where a script is that runs in a thread or a process of its own, for a module `from` that runs from sources. Node 20
 * cannot read TypeScript: without a bundle a loader must be registered, which costs each start half a second.
 */
export function scriptFromSources(
  name: string,
  from: string,
): { readonly url: URL; readonly needsLoader: boolean } {
  const bundles = process.env[bundlesVariable];
  return bundles === undefined
    ? { url: new URL(`./${name}.ts`, from), needsLoader: true }
    : { url: pathToFileURL(`${bundles}/${name}.js`), needsLoader: false };
}
