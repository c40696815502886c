import type { AgentEvent, Emit } from '../platform/events.ts';
import { linesOf } from './events.ts';
import type { Verbosity } from './events.ts';
import { printable } from './format.ts';
import { barProgress, lineProgress, noProgress } from './progress.ts';
import type { Progress, TerminalStream } from './progress.ts';
import type { Style } from './style.ts';

export interface ReporterOptions {
  /** Where progress and logs go. */
  readonly stream: TerminalStream & { readonly isTTY?: boolean | undefined };
  readonly style: Style;
  readonly verbosity: Verbosity;
  readonly hasProgress: boolean;
  /** A clock that never jumps, milliseconds. */
  readonly now: () => number;
}

/** Turns events into lines and progress on one stream. */
export interface Reporter {
  readonly emit: Emit;
  /** Prints a line beside the progress. */
  say(line: string): void;
  /** Attempts that failed and were made again. */
  retries(): number;
  stop(): void;
}

export function createReporter(options: ReporterOptions): Reporter {
  const { stream, style, verbosity } = options;
  let retries = 0;
  const say = (line: string): void => {
    progress.hide();
    stream.write(`${line}\n`);
  };
  const progress = chooseProgress(options, say);
  return {
    emit: (event) => {
      if (event.type === 'retry') retries += 1;
      if (event.type === 'phase') progress.enter(event.phase);
      if (event.type === 'progress') progress.advance(event.done, event.total, event.unit);
      for (const line of linesOf(withoutControls(event), verbosity, style)) say(line);
    },
    say,
    retries: () => retries,
    stop: () => progress.stop(),
  };
}

function chooseProgress(options: ReporterOptions, say: (line: string) => void): Progress {
  const { stream, verbosity, hasProgress, now } = options;
  if (!hasProgress || verbosity === 'quiet') return noProgress;
  return stream.isTTY === true ? barProgress(stream, { now }) : lineProgress(say, { now });
}

/** Messages quote what servers said. */
function withoutControls(event: AgentEvent): AgentEvent {
  return 'message' in event ? { ...event, message: printable(event.message) } : event;
}
