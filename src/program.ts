/** What a process of the built package can do. It is one file there, so that its compiled code can be kept (`start/`). */
import { config } from 'zod';

// To compile a schema costs a short process more than it saves, and a process with 100,000 files 0.2 s for each manifest.
config({ jitless: true });

/** The command line. */
export async function main(args: readonly string[]): Promise<number> {
  const cli = await import('./cli/main.ts');
  return cli.main(args);
}

/** One operation for the process that started this one. */
export async function operationChild(): Promise<void> {
  await import('./operations/operation-child.ts');
}
