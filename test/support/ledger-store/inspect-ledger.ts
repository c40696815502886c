import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { throwIfAborted } from '../../../src/platform/errors.ts';
import type { InspectOptions, Problem, StoreReport } from '../../../src/stores/adapter.ts';
import { scanStore } from '../../../src/stores/content/scan.ts';
import { marker } from './ledger-kind.ts';

const segmentName = /^\d{6}\.jsonl$/;

/** Reads every record once. Segments are read line by line, so that memory is bounded, however large they are. */
export async function inspectLedger(dir: string, options: InspectOptions): Promise<StoreReport> {
  const { signal, exclude } = options;
  const damage: Problem[] = [];
  const findings: Problem[] = [];
  let records = 0;
  const paths = (await scanStore(dir, exclude)).files.map(({ path }) => path);
  if (!paths.includes(marker)) damage.push(problem('schema', marker, 'is missing'));
  const segments = paths.filter((path) => segmentName.test(path));
  for (const [index, path] of segments.entries()) {
    throwIfAborted(signal, `Inspecting "${dir}"`);
    const expected = `${String(index + 1).padStart(6, '0')}.jsonl`;
    if (path !== expected) {
      damage.push(problem('database', expected, 'is missing'));
      break;
    }
    const { good, bad } = await readSegment(join(dir, path));
    records += good;
    if (bad === undefined) continue;
    // A writer that died in the middle of a line left no record. Its program cuts the line off at the next start.
    const isTorn = index === segments.length - 1 && !(await endsInNewline(join(dir, path)));
    if (isTorn && bad === good + 1)
      findings.push(problem('not-evaluable', path, 'ends in an unfinished record'));
    else damage.push(problem('database', path, `has no record in line ${bad}`));
  }
  return { damage, findings, statistics: { records } };
}

/** The number of records, and the first line that is none. */
async function readSegment(
  path: string,
): Promise<{ readonly good: number; readonly bad: number | undefined }> {
  const lines = createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Infinity });
  let good = 0;
  let bad: number | undefined;
  let number = 0;
  for await (const line of lines) {
    number += 1;
    if (isRecord(line)) good += 1;
    else bad ??= number;
  }
  return { good, bad };
}

function isRecord(line: string): boolean {
  try {
    const record: unknown = JSON.parse(line);
    return typeof record === 'object' && record !== null && 'id' in record;
  } catch {
    return false;
  }
}

async function endsInNewline(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const last = Buffer.alloc(1);
    await file.read(last, 0, 1, Math.max(0, size - 1));
    return last.toString() === '\n';
  } finally {
    await file.close();
  }
}

function problem(kind: Problem['kind'], where: string, what: string): Problem {
  return { kind, where, message: `${where} ${what}` };
}
