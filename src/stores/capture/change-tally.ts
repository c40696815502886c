import { SyncAgentError } from '../../platform/errors.ts';

const named = 3;

/** Counts the files that kept a capture from ending, to name them when it gives up. */
export class ChangeTally {
  readonly #times = new Map<string, number>();

  /** Counts files that were seen to change, or to be in the middle of a write. */
  note(paths: readonly string[]): void {
    for (const path of paths) this.#times.set(path, (this.#times.get(path) ?? 0) + 1);
  }

  /** The files that were counted most often, as the end of a sentence. Empty if there are none. */
  describe(): string {
    const worst = [...this.#times].toSorted(([, a], [, b]) => b - a);
    const list = worst
      .slice(0, named)
      .map(([path, times]) => `"${path}" (seen ${times === 1 ? 'once' : `${times} times`})`);
    const others = worst.length - list.length;
    if (others > 0) list.push(others === 1 ? 'one other' : `${others} others`);
    return list.join(', ');
  }

  error(dir: string, timeoutMs: number): SyncAgentError {
    const what = this.describe();
    return new SyncAgentError(
      'BUSY',
      `Cannot capture "${dir}": its files kept changing for ${timeoutMs / 1000} s${what === '' ? '' : `: ${what}`}`,
      {
        remedy:
          'Try again when less is written, raise --capture-timeout, or leave logs and caches out with --exclude',
      },
    );
  }
}
