import { storeKinds } from './registry.ts';
import type { StoreKind } from './store-kind.ts';

/** The registered kinds, for whoever does not care which there are. */
export const kinds: readonly StoreKind[] = storeKinds;

export const kindNamed = (name: string): StoreKind | undefined => kinds.find((kind) => kind.name === name);

/** Whether one kind of store is less particular than another: what a store looks like that lost its database. */
export function isSimplerKind(name: string, than: string): boolean {
  const rank = (each: string): number => kinds.findIndex((kind) => kind.name === each);
  return rank(than) !== -1 && rank(name) > rank(than);
}

/** What a directory is that is nothing else. */
export const plainKind: StoreKind = storeKinds[storeKinds.length - 1] ?? storeKinds[0];
