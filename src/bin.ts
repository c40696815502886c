#!/usr/bin/env node
import module from 'node:module';

// Node 22 and later can keep compiled code between runs.
(module as { readonly enableCompileCache?: () => unknown }).enableCompileCache?.();

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader of the output has closed it, as in `sync-agent list | head -1`.
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
process.on('uncaughtException', (error) => {
  const isDebug = process.argv.includes('--debug');
  process.stderr.write(`error: Cannot go on: ${isDebug ? (error.stack ?? error.message) : error.message}\n`);
  process.exit(1);
});

const { main } = await import('./cli/main.ts');
process.exitCode = await main(process.argv.slice(2));
