export interface CappedLines {
  /** Makes a writer for one stream. All streams share the limit. */
  stream(): LineWriter;
}

export interface LineWriter {
  write(text: string): void;
  /** The stream has ended, perhaps in the middle of a line. */
  end(): void;
}

const mostLines = 100;
const widestLine = 500;

/** Passes the first hundred lines on, each cut to 500 characters. Buffers one line at most. */
export function cappedLines(onLine: (line: string) => void): CappedLines {
  let count = 0;
  const pass = (line: string): void => {
    count += 1;
    if (count <= mostLines) onLine(line);
    else if (count === mostLines + 1) onLine(`(more than ${mostLines} lines: the rest is not shown)`);
  };
  return {
    stream: () => {
      let rest = '';
      return {
        write: (text) => {
          const lines = text.split(/\r?\n/);
          lines[0] = rest + (lines[0] ?? '');
          rest = cut(lines.pop() ?? '');
          for (const line of lines) pass(cut(line));
        },
        end: () => {
          if (rest !== '') pass(rest);
          rest = '';
        },
      };
    },
  };
}

function cut(line: string): string {
  return line.length <= widestLine ? line : `${line.slice(0, widestLine - 1)}…`;
}
