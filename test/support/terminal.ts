import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

/** Why no program can be run on a terminal here; undefined where one can. */
export function terminalMissing(): string | undefined {
  const { stdout, error } = spawnSync('script', ['--version'], { encoding: 'utf8' });
  const isThere = error === undefined && stdout.includes('util-linux');
  return isThere ? undefined : 'needs script of util-linux';
}

export interface OnTerminal {
  /** Waits until `text` is on the screen after what was awaited before, then types. Rejects when the program ends. */
  answer(text: string, keys: string): Promise<void>;
  /** The exit code, and all that was shown, without colours and cursor movements. */
  readonly done: Promise<{ readonly exitCode: number | null; readonly screen: string }>;
}

export const keys = { enter: '\r', down: '\u001B[B', ctrlC: '\u0003' } as const;

/** Runs a program on a pseudo-terminal of 120 columns. */
export function startOnTerminal(
  command: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): OnTerminal {
  const line = command.map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qfec', `stty cols 120 rows 50; exec ${line}`, '/dev/null'], {
    cwd,
    env: { ...env, TERM: 'xterm', NO_COLOR: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let screen = '';
  let seen = 0;
  let isOver = false;
  let wake = (): void => undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    // eslint-disable-next-line no-control-regex -- what terminals are told
    screen += text.replace(/\u001B\[[0-9;?]*[A-Za-z]/g, '');
    wake();
  });
  const done = once(child, 'close').then(([exitCode]) => {
    isOver = true;
    wake();
    return { exitCode: exitCode as number | null, screen };
  });
  return {
    answer: async (text, typed) => {
      for (;;) {
        const at = screen.indexOf(text, seen);
        if (at >= 0) {
          seen = at + text.length;
          child.stdin.write(typed);
          return;
        }
        if (isOver) throw new Error(`The program ended without "${text}":\n${screen}`);
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    done,
  };
}
