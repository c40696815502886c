/** How the command line is bundled: one file that starts fast, and chunks for what is loaded later. */
export const bundleOptions = {
  bundle: true,
  minifyWhitespace: true,
  minifySyntax: true,
  splitting: true,
  platform: 'node',
  // Modules before main files: of the SDK only what is used is kept, a quarter. It saves a seventh of the time of a start that asks S3.
  mainFields: ['module', 'main'],
  format: 'esm',
  target: 'node20',
  // Native code stays outside.
  external: ['better-sqlite3', 'koffi'],
  // Its main file hides from bundlers what it requires.
  alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' },
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
  },
  logLevel: 'warning',
};
