import { pathToFileURL } from 'node:url';

/** Names a directory with bundles of these scripts. A run of the tests makes it once. */
const bundlesVariable = 'SYNC_AGENT_TEST_SCRIPTS';

/**
 * The script `name` for a thread or a process of its own, if the module `from` itself runs from TypeScript sources: in tests
 * and during development. Node 20 cannot read TypeScript. Without a bundle a loader must be registered, which costs half a
 * second per start.
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
