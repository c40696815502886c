export interface Contradictory {
  readonly generation: number;
  readonly files: readonly { readonly path: string }[];
  readonly emptyDirectories: readonly string[];
  readonly log: readonly { readonly generation: number }[];
}

/** What of a manifest contradicts the rest of it, though each part is as it should be. Undefined if nothing does. */
export const contradiction = (manifest: Contradictory): string | undefined =>
  treeProblem([...manifest.files.map((file) => file.path), ...manifest.emptyDirectories]) ??
  logProblem(manifest);

/** A path that appears twice, or that is both a file and a directory. */
function treeProblem(paths: readonly string[]): string | undefined {
  const seen = new Set<string>();
  for (const path of paths) {
    if (seen.has(path)) return `path ${JSON.stringify(path)} appears twice`;
    seen.add(path);
  }
  for (const path of paths) {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      if (seen.has(path.slice(0, slash)))
        return `path ${JSON.stringify(path.slice(0, slash))} is a file and a directory`;
    }
  }
  return undefined;
}

function logProblem({ generation, log }: Contradictory): string | undefined {
  let previous = 0;
  for (const entry of log) {
    if (entry.generation <= previous || entry.generation >= generation) return 'log is out of order';
    previous = entry.generation;
  }
  return undefined;
}
