import { chromaKind } from './chroma/chroma-kind.ts';
import { filesKind } from './files/files-kind.ts';
import { sqliteKind } from './sqlite/sqlite-kind.ts';

/** Every kind of store, the most particular first. The last is what a directory is that is nothing else. */
export const storeKinds = [chromaKind, sqliteKind, filesKind] as const;

export type StoreKindName = (typeof storeKinds)[number]['name'];
