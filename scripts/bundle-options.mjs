/** Where the native code of better-sqlite3 lies: to look for it, and to read seven small files, takes a start 5 ms. */
const nativeSqlite = 'better-sqlite3/build/Release/better_sqlite3.node';
const sqliteBinding = {
  name: 'sqlite-binding',
  setup(bundling) {
    bundling.onResolve({ filter: /^bindings$/ }, ({ path }) => ({ path, namespace: 'sqlite-binding' }));
    bundling.onLoad({ filter: /^/, namespace: 'sqlite-binding' }, () => ({
      contents: `module.exports = () => {
        try {
          return require('${nativeSqlite}');
        } catch (cause) {
          const message = 'the native code of better-sqlite3 cannot be loaded; run "npm rebuild better-sqlite3": ';
          throw new Error(message + cause.message, { cause });
        }
      };`,
    }));
  },
};

/** What is used of the S3 client. As a whole it begins with each of its hundred commands, which takes a start 5 ms. What is missing here fails the build. */
const s3Modules = [
  'S3Client',
  ...[
    'AbortMultipartUpload',
    'CompleteMultipartUpload',
    'CopyObject',
    'CreateMultipartUpload',
    'DeleteObject',
    'DeleteObjects',
    'GetBucketVersioning',
    'GetObject',
    'GetObjectLockConfiguration',
    'HeadObject',
    'ListMultipartUploads',
    'ListObjectsV2',
    'PutObject',
    'UploadPart',
    'UploadPartCopy',
  ].map((name) => `commands/${name}Command`),
];
const s3Client = {
  name: 's3-client',
  setup(bundling) {
    bundling.onLoad({ filter: /@aws-sdk[\\/]client-s3[\\/]dist-es[\\/]index\.js$/ }, () => ({
      contents: s3Modules.map((path) => `export * from './${path}.js';`).join('\n'),
    }));
  },
};

/** Libraries that few starts use. Each is a file of its own beside the program, so that the other starts do not read it. */
const seldomUsed = [
  '@clack/prompts',
  '@zip.js/zip.js',
  'chokidar',
  'croner',
  'jsonc-parser',
  'pino',
  'prom-client',
];
const seldomName = (library) => library.replaceAll(/[^\w-]+/g, '-').replace(/^-/, '');
const apart = {
  name: 'apart',
  setup(bundling) {
    const filter = new RegExp(`^(${seldomUsed.join('|')})$`);
    bundling.onResolve({ filter }, ({ path }) => ({
      path: `./seldom/${seldomName(path)}.cjs`,
      external: true,
    }));
  },
};
/** Entry points of `seldomUsed`. */
export const seldomEntries = Object.fromEntries(
  seldomUsed.map((library) => [`seldom/${seldomName(library)}`, library]),
);

/** How programs are bundled. */
export const bundleOptions = {
  bundle: true,
  minify: true,
  splitting: true,
  platform: 'node',
  // Modules before main files: of the SDK only what is used is kept, a quarter. It saves a seventh of the time of a start that asks S3.
  mainFields: ['module', 'main'],
  format: 'esm',
  target: 'node20',
  // Native code stays outside.
  external: [nativeSqlite, 'koffi'],
  plugins: [sqliteBinding, s3Client],
  // Its main file hides from bundlers what it requires.
  alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' },
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
  },
  logLevel: 'warning',
};

/** How what is not a module is bundled. */
export const scriptOptions = {
  ...bundleOptions,
  format: 'cjs',
  splitting: false,
  outExtension: { '.js': '.cjs' },
  supported: { 'dynamic-import': false },
  banner: {},
};

/**
 * The command line is one script, since only of a script can V8's code be kept. What `import()` loads is in it, and runs when it is
 * asked for, but for what few starts use.
 */
export const programOptions = {
  ...scriptOptions,
  plugins: [...bundleOptions.plugins, apart],
  define: { 'import.meta.url': 'programUrl' },
  // As Node wraps a module, so that it can be compiled as it is read. What was bundled of modules expects to be strict.
  banner: {
    js: "(function (exports, require, module, __filename, __dirname) { 'use strict'; const programUrl = require('node:url').pathToFileURL(__filename).href;",
  },
  footer: { js: '})' },
  // Of `import.meta`, only sources ask for more than the URL.
  logOverride: { 'empty-import-meta': 'silent' },
};
