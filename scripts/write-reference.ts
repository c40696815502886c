/** Writes the table of settings into docs/configuration.md. `npm run docs` runs it; a test finds a table that is out of date. */
import { readFileSync, writeFileSync } from 'node:fs';
import { withReferenceTable } from '../src/settings/reference.ts';

const page = new URL('../docs/configuration.md', import.meta.url);
writeFileSync(page, withReferenceTable(readFileSync(page, 'utf8')));
