import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { flushRoot } from '../../home/log-files.ts';
import type { Context } from '../context.ts';
import type { LogWriter } from './log-writer.ts';

/** What was read at one moment, as a place in a log; and in that of the snapshot that is being made, which may count at any moment. */
export interface SavePoint {
  readonly writer: LogWriter;
  readonly added: number;
  readonly coming?: { readonly writer: LogWriter; readonly added: number } | undefined;
}

/** `now`: the same at this moment. */
function isSaved({ writer, added, coming }: SavePoint, now: SavePoint | undefined): boolean {
  if (writer !== now?.writer || writer.counts.written < added) return false;
  // Given up, because the snapshot will not be made of what was read; or not.
  return (
    coming?.writer !== now.coming?.writer ||
    coming === undefined ||
    coming.writer.counts.written >= coming.added
  );
}

/** Those who wait for what was written before they asked. */
export class FlushRequests {
  readonly #context: Pick<Context, 'home' | 'fs'>;
  readonly #points = new Map<string, SavePoint>();
  #unread: readonly string[] = [];

  constructor(context: Pick<Context, 'home' | 'fs'>) {
    this.#context = context;
  }

  get isWaiting(): boolean {
    return this.#points.size > 0;
  }

  /** Who has asked by now. Before a look at the store. Many times a second: a call through the thread pool costs ten times as much. */
  see(): void {
    const names = this.#names();
    this.#unread = names.filter((name) => !this.#points.has(name));
    for (const name of this.#points.keys()) if (!names.includes(name)) this.#points.delete(name);
  }

  #names(): readonly string[] {
    try {
      return readdirSync(flushRoot(this.#context.home));
    } catch {
      return [];
    }
  }

  /** After that look: what they wait for has been read. */
  promise(point: SavePoint | undefined): void {
    if (point === undefined) return;
    for (const name of this.#unread) this.#points.set(name, point);
    this.#unread = [];
  }

  /** `now`: all that was read by now. If another log is written meanwhile, all that was read is behind that one. */
  async answer(now: SavePoint | undefined): Promise<void> {
    const { home, fs } = this.#context;
    for (const [name, point] of this.#points) {
      if (now !== undefined && point.writer !== now.writer) this.#points.set(name, now);
      if (!isSaved(point, now)) continue;
      await fs.remove(join(flushRoot(home), name));
      this.#points.delete(name);
    }
  }
}
