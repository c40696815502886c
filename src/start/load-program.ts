import { fileURLToPath } from 'node:url';
import type * as program from '../program.ts';
import { loadKept } from './kept-code.ts';

type Program = typeof program;

/** Names the bytes of program.cjs. The build defines it; from sources there is none. */
declare const programId: string;

/** `use`: what this process does with it, in a word. */
export async function loadProgram(use: string): Promise<Program> {
  if (typeof programId === 'undefined') return import('../program.ts');
  const path = fileURLToPath(new URL('./program.cjs', import.meta.url));
  return loadKept(path, { id: programId, use }) as Program;
}
