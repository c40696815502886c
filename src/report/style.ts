/** Wraps text for a terminal, or leaves it alone. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
}

const plain = (text: string): string => text;
const code =
  (open: number, close: number) =>
  (text: string): string =>
    `\u001B[${open}m${text}\u001B[${close}m`;

export const plainStyle: Style = { bold: plain, dim: plain, red: plain, green: plain, yellow: plain };

const colourStyle: Style = {
  bold: code(1, 22),
  dim: code(2, 22),
  red: code(31, 39),
  green: code(32, 39),
  yellow: code(33, 39),
};

/** Colour only on a terminal, and never with NO_COLOR (https://no-color.org: any value but an empty one). */
export function styleFor(
  stream: { readonly isTTY?: boolean | undefined },
  env: Readonly<NodeJS.ProcessEnv>,
): Style {
  const isPlain = stream.isTTY !== true || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return isPlain ? plainStyle : colourStyle;
}
