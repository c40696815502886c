import { chromaKind } from './chroma/chroma-kind.ts';
import { filesKind } from './files/files-kind.ts';
import { sqliteKind } from './sqlite/sqlite-kind.ts';

/** Every kind of store, the most particular first. The last takes every directory that no other recognises. */
export const storeKinds = [chromaKind, sqliteKind, filesKind] as const;

export type StoreKindName = (typeof storeKinds)[number]['name'];
