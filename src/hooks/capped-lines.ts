export interface CappedLines {
  /** Makes a writer for one stream; all share the cap. */
  stream(): LineWriter;
}

export interface LineWriter {
  write(text: string): void;
  /** The stream ended, perhaps within a line. */
  end(): void;
}

const mostLines = 100;
const widestLine = 500;

/** Passes lines on until there were enough of them, each cut to a bearable width. Holds one line at most. */
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
