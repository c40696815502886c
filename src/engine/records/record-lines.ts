import type { Readable } from 'node:stream';
import { messageOf } from '../../platform/errors.ts';
import { readLines } from './jsonl-file.ts';
import { parseRecordLine } from './record-line.ts';
import type { NamedRecord, RecordProblem } from './send-batch.ts';

/** The records of a file of JSON Lines, or of a stream that `path` names for people. */
export async function* recordsOf(
  path: string,
  onBroken: (problem: RecordProblem) => void,
  stream?: Readable,
): AsyncGenerator<NamedRecord> {
  for await (const { number, text } of readLines(path, stream)) {
    const where = `line ${number} of "${path}"`;
    let record;
    try {
      record = parseRecordLine(text);
    } catch (error) {
      onBroken({ where, id: null, message: messageOf(error) });
      continue;
    }
    yield { record, where };
  }
}
