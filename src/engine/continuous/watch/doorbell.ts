import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';

/** Wakes who waits when something changes in one of some directories, or after a time. */
export class Doorbell {
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #changes = new Map<string, number>();
  #hasRung = false;
  #wake: (() => void) | undefined;

  /** A directory that cannot be watched rings never: looks by time find its changes. */
  watch(directory: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, () => {
        this.#changes.set(directory, this.changesIn(directory) + 1);
        this.ring();
      });
      watcher.on('error', () => watcher.close());
      this.#watchers.set(directory, watcher);
    } catch {
      // The kernel's watches have run out, or this file system has none.
    }
  }

  /** What changes in a directory rings no more. */
  unwatch(directory: string): void {
    this.#watchers.get(directory)?.close();
    this.#watchers.delete(directory);
  }

  /** How often a directory has rung so far. */
  changesIn(directory: string): number {
    return this.#changes.get(directory) ?? 0;
  }

  ring(): void {
    this.#hasRung = true;
    this.#wake?.();
  }

  /** Resolves when it rings, or rang since the last call, or after `ms`: whether it rang. */
  async wait(ms: number): Promise<boolean> {
    if (!this.#hasRung) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, ms);
      });
      clearTimeout(timer);
      this.#wake = undefined;
    }
    const hasRung = this.#hasRung;
    this.#hasRung = false;
    return hasRung;
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
  }
}
