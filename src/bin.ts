#!/usr/bin/env node
import { loadProgram } from './start/load-program.ts';

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

const args = process.argv.slice(2);
const isHelp = args.some((arg) => arg === '--help' || arg === '-h');
const { main } = await loadProgram(isHelp ? 'help' : (args[0] ?? ''));
process.exitCode = await main(args);
// Nothing is left to be done or written: what Node would take down bit by bit goes with the process.
process.once('beforeExit', () => process.exit());
