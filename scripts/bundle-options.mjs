/** How the command line is bundled: one file that starts fast, and chunks for what is loaded later. */
export const bundleOptions = {
  bundle: true,
  minifyWhitespace: true,
  minifySyntax: true,
  splitting: true,
  platform: 'node',
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
