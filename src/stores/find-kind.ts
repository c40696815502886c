import { storeKinds } from './registry.ts';
import type { StoreKind } from './store-kind.ts';

/** The registered kinds, for code that treats all alike. */
export const kinds: readonly StoreKind[] = storeKinds;

export const kindNamed = (name: string): StoreKind | undefined => kinds.find((kind) => kind.name === name);

/** Whether one kind of store is less particular than another. A store that lost its database looks like a simpler kind. */
export function isSimplerKind(name: string, than: string): boolean {
  const rank = (each: string): number => kinds.findIndex((kind) => kind.name === each);
  return rank(than) !== -1 && rank(name) > rank(than);
}

/** The kind of a directory that no other kind recognises. */
export const plainKind: StoreKind = storeKinds[storeKinds.length - 1] ?? storeKinds[0];
