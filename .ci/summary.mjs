/**
 * Adds up test results and prints `N passed, N failed`. Fails if a test failed or none ran, or if the last file, the
 * run on real servers, has a test that was skipped.
 *
 * usage: node .ci/summary.mjs RESULTS.json…    (of vitest's JSON reporter)
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

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
  const isFailedSuite = (suite) =>
    suite.status === 'failed' && suite.assertionResults.every((test) => test.status !== 'failed');
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
  if (file === files.at(-1)) for (const test of skipped) console.log(`  skipped: ${test.fullName}`);
}
failed += skippedInLast;
if (skippedInLast > 0) console.log('A test that was skipped on real servers counts as failed.');
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
