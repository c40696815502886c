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
    /** What is wrong with an answer, for the person to read; undefined if nothing. */
    readonly judge: (answer: string) => string | undefined;
  }): Promise<string>;
  confirm(message: string, initial: boolean): Promise<boolean>;
  /** Lines to read, no question. */
  tell(title: string, lines: readonly string[]): void;
  /** What goes on now. */
  announce(message: string): void;
}

export interface Choice<T extends string> {
  readonly value: T;
  readonly label: string;
  readonly hint?: string;
}
