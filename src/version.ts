import { createRequire } from 'node:module';
import * as z from 'zod';

/** This package's version, from its own package.json. */
export const { version } = z
  .object({ version: z.string() })
  .parse(createRequire(import.meta.url)('../package.json'));
