/**
 * Adds up test results, repeats what failed and why, and prints `N passed, N failed`: the end of a long log is what is
 * read first. Fails if a test failed or none ran, or if the last file, the run on real servers, has a test that was
 * skipped.
 *
 * usage: node .ci/summary.mjs RESULTS.json…    (of vitest's JSON reporter)
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** Of a message, what names the failed assertion and its place; a diff of a thousand lines stands further up. */
const linesOfMessage = 12;

const files = process.argv.slice(2);
let passed = 0;
let failed = 0;
let skippedInLast = 0;
for (const file of files) {
  if (!existsSync(file)) {
    console.log(`${basename(file)}: no results`);
    failed++;
    continue;
  }
  const results = JSON.parse(readFileSync(file, 'utf8'));
  const tests = results.testResults.flatMap((suite) => suite.assertionResults);
  const skipped = tests.filter(
    (test) => test.status === 'skipped' || test.status === 'pending' || test.status === 'todo',
  );
  // A file that cannot be loaded has no tests; an error outside a test fails the run, but no test.
  const broken = results.testResults.filter(isFailedSuite).length;
  const bad = results.numFailedTests + broken;
  const errors = !results.success && bad === 0 ? 1 : 0;
  passed += results.numPassedTests;
  failed += bad + errors;
  skippedInLast = skipped.length;
  console.log(
    `${basename(file)}: ${results.numPassedTests} passed, ${bad + errors} failed, ${skipped.length} skipped`,
  );
  for (const suite of results.testResults) for (const failure of failuresOf(suite)) console.log(failure);
  if (file === files.at(-1)) for (const test of skipped) console.log(`  skipped: ${test.fullName}`);
}
failed += skippedInLast;
if (skippedInLast > 0) console.log('A test that was skipped on real servers counts as failed.');
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

function isFailedSuite(suite) {
  return suite.status === 'failed' && suite.assertionResults.every((test) => test.status !== 'failed');
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
  return [`  FAILED ${title}`, ...lines.slice(0, linesOfMessage).map((line) => `    ${line}`)].join('\n');
}
