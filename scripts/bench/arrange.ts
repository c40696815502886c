import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { changeInPlace, copyStore } from './stores/copy-store.ts';
import type { Place, Tool } from './tools/tool.ts';

/** The store is a copy of `model`, and on disk. */
export function storeOf(model: string): (place: Place) => Promise<void> {
  return async ({ store }) => {
    await copyStore(model, store);
    execFileSync('sync');
  };
}

/** The application wrote until the store was equal to `model`. */
export function changedTo(model: string): (place: Place) => Promise<void> {
  return async ({ store }) => {
    await changeInPlace(store, model);
    execFileSync('sync');
  };
}

/** A new host, that has neither the store nor what the tool knew of it. */
export async function lostHost(place: Place, tool: Tool): Promise<void> {
  for (const path of [place.store, ...tool.localState(place)])
    await rm(path, { recursive: true, force: true });
  execFileSync('sync');
}
