/**
 * Adds up test results, repeats what failed and why, and prints `N passed, N failed`: the end of a long log is what is
 * read first. Fails if a test failed or none ran, if a file below test/ was in no run, if the last run, the one on real
 * servers, skipped a test, or if an earlier one skipped a test of a file that the last run left out.
 *
 * usage: node .ci/summary.mjs RESULTS.json…    (of vitest's JSON reporter)
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, relative, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** Of a message and of its stack, what names the failed assertion and its place; a diff of a thousand lines stands further up. */
const linesOfMessage = 10;
const linesOfStack = 4;

const files = process.argv.slice(2);
let passed = 0;
let failed = 0;
/** Skipped tests by their files; a later run of the file takes the place of an earlier one. */
const skippedByFile = new Map();
for (const file of files) {
  if (!existsSync(file)) {
    console.log(`${basename(file)}: no results`);
    failed++;
    continue;
  }
  const results = JSON.parse(readFileSync(file, 'utf8'));
  for (const suite of results.testResults) skippedByFile.set(suite.name, skippedOf(suite));
  const skipped = results.testResults.flatMap(skippedOf);
  // A file that cannot be loaded has no tests; an error outside a test fails the run, but no test.
  const broken = results.testResults.filter(isFailedSuite).length;
  const bad = results.numFailedTests + broken;
  const errors = !results.success && bad === 0 ? 1 : 0;
  passed += results.numPassedTests;
  failed += bad + errors;
  console.log(
    `${basename(file)}: ${results.numPassedTests} passed, ${bad + errors} failed, ${skipped.length} skipped`,
  );
  for (const suite of results.testResults) for (const failure of failuresOf(suite)) console.log(failure);
}
const skipped = [...skippedByFile.values()].flat();
for (const test of skipped)
  console.log(`  SKIPPED ${test.fullName}: counts as failed, everything must run once`);
failed += skipped.length;
const lost = testFiles().filter((file) => !skippedByFile.has(file));
for (const file of lost) console.log(`  LOST ${relative(process.cwd(), file)}: it was in no run`);
failed += lost.length;
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

function testFiles() {
  return readdirSync('test', { recursive: true })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => resolve('test', file));
}

function isFailedSuite(suite) {
  return suite.status === 'failed' && suite.assertionResults.every((test) => test.status !== 'failed');
}

function skippedOf(suite) {
  return suite.assertionResults.filter((test) => ['skipped', 'pending', 'todo'].includes(test.status));
}

function failuresOf(suite) {
  const file = relative(process.cwd(), suite.name);
  if (isFailedSuite(suite)) return [describe(file, suite.message)];
  return suite.assertionResults
    .filter((test) => test.status === 'failed')
    .map((test) => describe(`${file}: ${test.fullName}`, test.failureMessages.join('\n')));
}

function describe(title, message) {
  const lines = stripVTControlCharacters(message ?? '').split('\n');
  const isOfStack = (line) => /^\s+at /.test(line);
  const told = lines.filter((line) => !isOfStack(line)).slice(0, linesOfMessage);
  const stack = lines.filter(isOfStack).slice(0, linesOfStack);
  return [`  FAILED ${title}`, ...[...told, ...stack].map((line) => `    ${line}`)].join('\n');
}
