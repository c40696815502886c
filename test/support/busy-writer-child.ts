/** The other side of busy-writer-process.ts: runs one busy writer, does what the messages ask, dies with its parent. */
import { startBusyWriter, type BusyWriter, type BusyWriterOptions } from './busy-writer.ts';
import type { Call } from './busy-writer-process.ts';

let writer: BusyWriter | undefined;

async function perform({ method, values }: Call): Promise<unknown> {
  if (method === 'start') {
    writer = await startBusyWriter(values[0] as BusyWriterOptions);
    return undefined;
  }
  if (!writer) throw new Error(`Cannot ${method}: the writer was not started`);
  return (writer[method] as (...args: unknown[]) => Promise<unknown>)(...values);
}

process.on('disconnect', () => process.exit(0));
// An answer to a parent that is gone.
process.on('error', () => process.exit(0));
process.on('message', (call: Call) => {
  perform(call).then(
    (value) => process.send?.({ id: call.id, value }),
    (error: unknown) => process.send?.({ id: call.id, error: String(error) }),
  );
});
