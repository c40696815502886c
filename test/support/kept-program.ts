import { existsSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { loadKept } from '../../src/start/kept-code.ts';

/** Loads a module with kept code and calls it: `PATH ID USE [EXIT-CODE | flag | stay]`. To stay is to fail once the code is there. */
const [path = '', id = '', use = '', how = '0'] = process.argv.slice(2);
const { work } = loadKept(path, { id, use, place: `${path}.kept` }) as { readonly work: () => string };
process.stdout.write(work());
if (how === 'flag') setFlagsFromString('--heap-growing-percent=10');
else if (how === 'stay') setInterval(() => existsSync(`${path}.kept`) && process.exit(1), 10);
else process.exitCode = Number(how);
