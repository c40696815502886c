/** How programs are bundled. */
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

/**
 * The command line is one script, since only of a script can V8's code be kept. What `import()` loads is in it, and runs when it is
 * asked for.
 */
export const programOptions = {
  format: 'cjs',
  splitting: false,
  outExtension: { '.js': '.cjs' },
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': 'programUrl' },
  // As Node wraps a module, so that it can be compiled as it is read. What was bundled of modules expects to be strict.
  banner: {
    js: "(function (exports, require, module, __filename, __dirname) { 'use strict'; const programUrl = require('node:url').pathToFileURL(__filename).href;",
  },
  footer: { js: '})' },
  // Of `import.meta`, only sources ask for more than the URL.
  logOverride: { 'empty-import-meta': 'silent' },
};
