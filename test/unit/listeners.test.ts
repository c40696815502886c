import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { createListeners } from '../../src/platform/listeners.ts';
import { eitherSignal } from '../../src/platform/abort-signals.ts';

describe('listeners', () => {
  it('are called in order until they are removed, each as often as it was added', () => {
    const listeners = createListeners<number>();
    const told: string[] = [];
    const first = (event: number): void => void told.push(`first ${event}`);
    const [end] = [listeners.add(first), listeners.add(first)];
    listeners.add((event) => told.push(`second ${event}`));
    listeners.tell(1);
    end();
    end();
    listeners.tell(2);
    expect(told).toEqual(['first 1', 'first 1', 'second 1', 'first 2', 'second 2']);
  });

  it('that throw do not stop the others, and their error reaches the process', async () => {
    // In a thread: here the runner takes whatever is uncaught.
    const script = `
      const { parentPort } = require('node:worker_threads');
      import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))}).then(async ({ tsImport }) => {
        const { createListeners } = await tsImport(${JSON.stringify(import.meta.resolve('../../src/platform/listeners.ts'))}, __filename);
        const said = [];
        process.once('uncaughtException', (error) => parentPort.postMessage([...said, error.message]));
        const listeners = createListeners();
        listeners.add(() => { throw new Error('mine'); });
        listeners.add((event) => said.push(event));
        listeners.tell('told');
        said.push('went on');
      });`;
    const worker = new Worker(script, { eval: true });
    expect(await once(worker, 'message')).toEqual([['told', 'went on', 'mine']]);
    await worker.terminate();
  });
});

describe('either of two signals', () => {
  it('aborts with the reason of the first, even if that aborted before', () => {
    const [one, other] = [new AbortController(), new AbortController()];
    const either = eitherSignal(one.signal, other.signal);
    expect(either.signal.aborted).toBe(false);
    other.abort('other');
    one.abort('one');
    expect(either.signal.reason).toBe('other');
    expect(eitherSignal(new AbortController().signal, one.signal).signal.reason).toBe('one');
  });

  it('keeps no listener once it is released', () => {
    const one = new AbortController();
    const either = eitherSignal(one.signal, undefined);
    either.release();
    one.abort();
    expect(either.signal.aborted).toBe(false);
  });
});
