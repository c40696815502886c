import { parseDuration, parseShare, parseSize } from './units.ts';

/** How the values of a setting are written, and what they come to. */
export interface Kind<T> {
  /** Its flag takes a value, takes none, or may be repeated. */
  readonly flag: 'value' | 'switch' | 'list';
  /** How a config file that we write holds it. */
  readonly json: 'string' | 'number' | 'boolean';
  /** All values there are, if they can be listed. */
  readonly choices?: readonly string[];
  /** Completes "expected …" for a value that `read` refuses. */
  readonly expected: string;
  /** Reads what a person wrote: text of a flag or variable, JSON of a config file. Undefined: it is not understood. */
  readonly read: (input: unknown) => T | undefined;
  /** What is wrong with a refused value, if there is more to say than what was expected. */
  readonly complaint?: (input: unknown) => string | undefined;
  /** The same value as a program passes it to the library: milliseconds, bytes, lists. */
  readonly inCode: CodeCheck;
}

export interface CodeCheck {
  readonly expected: string;
  readonly isGood: (value: unknown) => boolean;
}

type Scalar = string | number | boolean;

type KindSpec<T> = Partial<Omit<Kind<T>, 'read'>> & {
  readonly expected: string;
  readonly read: (input: Scalar) => T | undefined;
};

/** A kind whose flag takes one value. Programs pass what `read` would accept, unless `inCode` says otherwise. */
export function kind<T>({ expected, read, ...rest }: KindSpec<T>): Kind<T> {
  const readScalar = (input: unknown): T | undefined =>
    typeof input === 'string' || typeof input === 'number' || typeof input === 'boolean'
      ? read(input)
      : undefined;
  return {
    flag: 'value',
    json: 'string',
    expected,
    read: readScalar,
    inCode: { expected, isGood: (value) => readScalar(value) !== undefined },
    ...rest,
  };
}

export const text = (expected: string): Kind<string> =>
  kind({
    expected,
    read: (input) => (typeof input === 'string' && input.trim() !== '' ? input : undefined),
  });

export const choice = <const T extends string>(...choices: readonly T[]): Kind<T> =>
  kind({
    expected: `one of ${choices.join(', ')}`,
    choices,
    read: (input) => choices.find((each) => each === input),
  });

export const yesOrNo: Kind<boolean> = kind({
  flag: 'switch',
  json: 'boolean',
  expected: 'true or false',
  read: (input) => {
    const word = String(input).toLowerCase();
    if (['true', '1', 'yes'].includes(word)) return true;
    return ['false', '0', 'no'].includes(word) ? false : undefined;
  },
  inCode: { expected: 'true or false', isGood: (value) => typeof value === 'boolean' },
});

export const wholeNumber = (least: number, most: number): Kind<number> =>
  kind({
    json: 'number',
    expected: `a whole number from ${least} to ${most}`,
    read: (input) => {
      if (typeof input === 'boolean' || (typeof input === 'string' && !/^\d+$/.test(input.trim())))
        return undefined;
      const number = Number(input);
      return Number.isInteger(number) && number >= least && number <= most ? number : undefined;
    },
    inCode: {
      expected: `a whole number, ${least} or more`,
      isGood: (value) => Number.isSafeInteger(value) && (value as number) >= least,
    },
  });

export const durationForm = 'a duration with its unit, such as 90s, 1h or 2h30m';

/** Milliseconds. A number without a unit is refused. */
export const readDuration = (input: unknown): number | undefined =>
  typeof input === 'string' ? parseDuration(input) : undefined;

export const milliseconds: CodeCheck = {
  expected: 'milliseconds, 0 or more',
  isGood: (value) => isNumber(value) && value >= 0,
};

export const duration: Kind<number> = kind({
  expected: durationForm,
  read: readDuration,
  inCode: milliseconds,
});

/** Bytes. */
export const size = (least: number, form: string): Kind<number> =>
  kind({
    expected: form,
    read: (input) => {
      const bytes = typeof input === 'boolean' ? undefined : parseSize(String(input));
      return bytes !== undefined && bytes >= least ? bytes : undefined;
    },
    inCode: {
      expected: `a whole number of bytes, ${least} or more`,
      isGood: (value) => Number.isSafeInteger(value) && (value as number) >= least,
    },
  });

/** From 0 to 1. */
export const share: Kind<number> = kind({
  expected: 'a share such as 0.5 or 50%',
  read: (input) => (typeof input === 'boolean' ? undefined : parseShare(String(input))),
  inCode: {
    expected: 'a share from 0 to 1',
    isGood: (value) => isNumber(value) && value >= 0 && value <= 1,
  },
});

/** How many times; `off` comes to 0. */
export const factor: Kind<number> = kind({
  expected: 'a factor above 1 such as 3x, or off',
  read: (input) => {
    if (input === 'off' || input === 0) return 0;
    const number = /^\d+(\.\d+)?x?$/.test(String(input)) ? Number.parseFloat(String(input)) : Number.NaN;
    return number > 1 ? number : undefined;
  },
  inCode: {
    expected: 'a number above 1, or 0 for never',
    isGood: (value) => isNumber(value) && (value === 0 || value > 1) && value !== Infinity,
  },
});

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && !Number.isNaN(value);
}
