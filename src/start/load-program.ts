import { fileURLToPath } from 'node:url';
import type * as program from '../program.ts';
import { loadKept } from './kept-code.ts';

type Program = typeof program;

/** Names the bytes of program.cjs. The build defines it; from sources there is none. */
declare const programId: string;

/** What hooks run, and often has nothing to do: none of these reads the code of others. */
const shortUses: ReadonlySet<string> = new Set(['backup', 'restore', 'sync']);

/** `use`: what this process does with it, in a word. */
export async function loadProgram(use: string): Promise<Program> {
  if (typeof programId === 'undefined') return import('../program.ts');
  const path = fileURLToPath(new URL('./program.cjs', import.meta.url));
  const place = shortUses.has(use) ? `${path}.${use}.kept` : `${path}.kept`;
  return loadKept(path, { id: programId, use, place }) as Program;
}
