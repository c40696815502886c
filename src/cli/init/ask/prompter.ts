import type { Readable, Writable } from 'node:stream';
import type * as Clack from '@clack/prompts';
import { interrupted } from '../../../platform/errors.ts';

/** Asks a person. Every question rejects with INTERRUPTED when it is cancelled. */
export interface Prompter {
  choose<const T extends string>(question: {
    readonly message: string;
    readonly options: readonly Choice<T>[];
    readonly initial?: T | undefined;
  }): Promise<T>;
  ask(question: {
    readonly message: string;
    readonly initial?: string | undefined;
    readonly placeholder?: string | undefined;
    /** What is wrong with an answer, for the person to read; undefined if it is fine. */
    readonly judge: (answer: string) => string | undefined;
  }): Promise<string>;
  confirm(message: string, initial: boolean): Promise<boolean>;
  /** Shows lines to read. */
  tell(title: string, lines: readonly string[]): void;
  /** Says what is happening now. */
  announce(message: string): void;
}

export interface Choice<T extends string> {
  readonly value: T;
  readonly label: string;
  readonly hint?: string;
}

export interface Terminal {
  readonly input: Readable;
  /** Not stdout, which is for the result. */
  readonly output: Writable;
  readonly signal: AbortSignal;
}

/** Questions on a terminal, in colour, answered with keys. */
export function clackPrompter(clack: typeof Clack, terminal: Terminal): Prompter {
  const answered = <T>(answer: T | typeof Clack.CANCEL_SYMBOL): T => {
    if (!clack.isCancel(answer)) return answer;
    throw interrupted('Setting up', terminal.signal.reason);
  };
  return {
    choose: async ({ message, options, initial }) =>
      answered(
        await clack.select<string>({
          ...terminal,
          message,
          options: options.map((each) => ({ ...each })),
          ...(initial === undefined ? {} : { initialValue: initial }),
        }),
      ) as (typeof options)[number]['value'],
    ask: async ({ message, initial, placeholder, judge }) =>
      answered(
        await clack.text({
          ...terminal,
          message,
          validate: (answer) => judge((answer ?? '').trim()),
          ...(initial === undefined ? {} : { initialValue: initial }),
          ...(placeholder === undefined ? {} : { placeholder }),
        }),
      ).trim(),
    confirm: async (message, initial) =>
      answered(await clack.confirm({ ...terminal, message, initialValue: initial })),
    tell: (title, lines) => clack.note(lines.join('\n'), title, { output: terminal.output }),
    // Not clack's spinner: it takes the keyboard and ends the process with 0 on Ctrl-C.
    announce: (message) => clack.log.step(message, { output: terminal.output }),
  };
}
