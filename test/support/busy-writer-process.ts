import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { BusyWriter, BusyWriterOptions, WriterReport } from './busy-writer.ts';
import { childScript } from './child-script.ts';

/** One method call, as sent to the child. Expectations travel as Maps, hence the advanced serialization. */
export interface Call {
  readonly id: number;
  readonly method: keyof BusyWriter | 'start';
  readonly values: readonly unknown[];
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** `end` ends its process too; nothing can be asked of it any more. */
export interface ForkedBusyWriter extends BusyWriter {
  end(): Promise<void>;
}

/**
 * A busy writer in a process of its own: its load and its latencies are those of another program, whatever this
 * process is busy with.
 */
export async function forkBusyWriter(options: BusyWriterOptions): Promise<ForkedBusyWriter> {
  const { file, execArgv } = childScript('busy-writer-child');
  const child = fork(file, {
    execArgv: [...execArgv],
    serialization: 'advanced',
  });
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let calls = 0;
  // The child keeps this process alive only while it owes an answer.
  const setKeptAlive = (isKept: boolean): void => {
    for (const handle of [child, child.channel]) {
      if (isKept) handle?.ref();
      else handle?.unref();
    }
  };
  child.on('message', ({ id, value, error }: Answer) => {
    const call = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0) setKeptAlive(false);
    if (error === undefined) call?.resolve(value);
    else call?.reject(new Error(error));
  });
  child.once('exit', (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`The busy writer died (${signal ?? code})`));
    waiting.clear();
  });

  const call = async <T>(method: Call['method'], ...values: unknown[]): Promise<T> => {
    if (!child.connected) throw new Error(`Cannot ${method}: the busy writer has ended`);
    const id = ++calls;
    const answer = new Promise<unknown>((resolve, reject) => {
      waiting.set(id, { resolve, reject });
    });
    setKeptAlive(true);
    child.send({ id, method, values } satisfies Call);
    return (await answer) as T;
  };

  await call('start', options);
  return {
    checkpoint: () => call('checkpoint'),
    expectation: (from, to) => call('expectation', from, to),
    report: (since) => call('report', since),
    pause: () => call('pause'),
    resume: () => call('resume'),
    // It goes on answering `expectation` and `report` until this process ends.
    stop: () => call<WriterReport>('stop'),
    end: async () => {
      if (!child.connected) return;
      const exited = once(child, 'exit');
      child.ref();
      child.disconnect();
      await exited;
    },
  };
}
