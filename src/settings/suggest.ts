/** The candidate that `word` most likely misspells; undefined if none is near. */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  const plain = normalise(word);
  let best: { readonly candidate: string; readonly distance: number } | undefined;
  for (const candidate of candidates) {
    const other = normalise(candidate);
    const isAbbreviation = plain.length >= 3 && (other.startsWith(plain) || plain.startsWith(other));
    const distance = isAbbreviation ? 1 : editDistance(plain, other);
    const limit = Math.max(1, Math.floor(Math.max(plain.length, other.length) / 3));
    if (distance <= limit && (best === undefined || distance < best.distance)) best = { candidate, distance };
  }
  return best?.candidate;
}

/** `did you mean "x"`, for the remedy of an error; else what to look at. */
export function suggestion(word: string, candidates: readonly string[], otherwise: string): string {
  const found = closest(word, candidates);
  return found === undefined ? otherwise : `Did you mean "${found}"?`;
}

const normalise = (word: string): string => word.toLowerCase().replace(/[-_.\s]/g, '');

/** Insertions, deletions, replacements and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let [before, previous]: [number[], number[]] = [
    [],
    Array.from({ length: b.length + 1 }, (_, index) => index),
  ];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + cost);
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] && i > 1 && j > 1) {
        least = Math.min(least, (before[j - 2] ?? 0) + 1);
      }
      row.push(least);
    }
    [before, previous] = [previous, row];
  }
  return previous[b.length] ?? 0;
}
