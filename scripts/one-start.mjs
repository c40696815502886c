import { dirname, join } from 'node:path';

/**
 * Keeps what every start loads in few files. The bundler makes a chunk for each set of entry points that share modules, and each
 * `import()` is an entry point, so that each of them would cut what the agent needs into smaller chunks, and a chunk costs a start
 * more than its bytes do. By the time of such an import the agent is loaded. So what is imported imports the agent: all need it whole.
 */
export function oneStart(root) {
  const agent = join(root, 'src/in-process/create-agent.ts');
  /** These run before the agent is there. */
  const isBefore = (importer) => [join(root, 'src'), join(root, 'src/cli')].includes(dirname(importer));
  return {
    name: 'one-start',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\.\.?\// }, ({ kind, importer, path, resolveDir }) =>
        kind === 'dynamic-import' && !isBefore(importer)
          ? { path: join(resolveDir, path), namespace: 'late' }
          : undefined,
      );
      onLoad({ filter: /./, namespace: 'late' }, ({ path }) => ({
        contents: `import ${JSON.stringify(agent)}; export * from ${JSON.stringify(path)};`,
        resolveDir: dirname(path),
      }));
    },
  };
}
