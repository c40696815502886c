import type { Phase } from '../platform/events.ts';
import { phaseNames } from './events.ts';
import { formatBytes, formatCount } from './format.ts';

/** Bytes, if undefined. */
type Unit = 'records' | undefined;

/** Shows how far a long operation is. Call `hide` before anything else is printed. */
export interface Progress {
  enter(phase: Phase): void;
  /** In bytes, if there is no other unit. */
  advance(done: number, total: number, unit?: Unit): void;
  /** Takes the bar off the screen; the next sign of progress draws it again. */
  hide(): void;
  /** Ends it; nothing is drawn afterwards. */
  stop(): void;
}

export interface TerminalStream {
  /** 0 or undefined if the width is not known. */
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

interface Options {
  readonly now: () => number;
}

export const noProgress: Progress = { enter: () => {}, advance: () => {}, hide: () => {}, stop: () => {} };

const frameMs = 80;
/** Commands that are faster than this never draw, so that nothing flickers. */
const patienceMs = 250;
const clearLine = '\r\u001B[2K';
const spinner = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'] as const;

/** One line at the bottom of a terminal, redrawn in place, that leaves nothing behind. */
export function barProgress(stream: TerminalStream, { now }: Options): Progress {
  const startedAt = now();
  let state:
    { readonly phase: Phase; readonly since: number; done: number; total: number; unit?: Unit } | undefined;
  let isShown = false;
  let frame = 0;
  const draw = (): void => {
    if (state === undefined || now() - startedAt < patienceMs) return;
    frame += 1;
    const line = barLine({ ...state, elapsedMs: now() - state.since }, frame, (stream.columns || 80) - 1);
    stream.write(clearLine + line);
    isShown = true;
  };
  const hide = (): void => {
    if (isShown) stream.write(clearLine);
    isShown = false;
  };
  const timer = setInterval(draw, frameMs);
  timer.unref();
  return {
    enter: (phase) => {
      if (state?.phase !== phase) state = { phase, since: now(), done: 0, total: 0 };
    },
    advance: (done, total, unit) => {
      if (state !== undefined) Object.assign(state, { done, total, unit });
    },
    hide,
    stop: () => {
      clearInterval(timer);
      hide();
    },
  };
}

/** For logs: a line once a phase takes long, and one every ten seconds after. */
export function lineProgress(print: (line: string) => void, { now }: Options): Progress {
  const everyMs = 10_000;
  let state: { readonly phase: Phase; saidAt: number } | undefined;
  return {
    ...noProgress,
    enter: (phase) => {
      if (state?.phase !== phase) state = { phase, saidAt: now() };
    },
    advance: (done, total, unit) => {
      if (state === undefined || now() - state.saidAt < everyMs) return;
      state.saidAt = now();
      print(`${phaseNames[state.phase]}: ${amounts({ done, total, unit })}`);
    },
  };
}

interface BarState {
  readonly phase: Phase;
  readonly done: number;
  readonly total: number;
  readonly elapsedMs: number;
  readonly unit?: Unit;
}

/** `Uploading  [██████░░░░]  61%  6.1 of 10 MiB  2.0 MiB/s`, cut to `width`. */
export function barLine(state: BarState, frame: number, width: number): string {
  const name = phaseNames[state.phase];
  if (state.total <= 0) return cut(`${spinner[frame % spinner.length] ?? ''} ${name}`, width);
  const share = Math.min(1, state.done / state.total);
  const barWidth = Math.max(0, Math.min(24, width - name.length - 46));
  const filled = Math.round(share * barWidth);
  const bar = barWidth < 5 ? '' : `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}  `;
  const perSecond =
    state.elapsedMs < 500 ? '' : `  ${amount((state.done / state.elapsedMs) * 1000, state.unit)}/s`;
  return cut(
    `${name}  ${bar}${String(Math.floor(share * 100)).padStart(3)}%  ${amounts(state)}${perSecond}`,
    width,
  );
}

/** `6.1 MiB of 10 MiB`, `1,200 of 60,000 records`. */
export function amounts({
  done,
  total,
  unit,
}: {
  readonly done: number;
  readonly total: number;
  readonly unit?: Unit;
}): string {
  return unit === undefined
    ? `${amount(done, unit)} of ${amount(total, unit)}`
    : `${formatCount(done)} of ${amount(total, unit)}`;
}

function amount(value: number, unit: Unit): string {
  return unit === undefined ? formatBytes(value) : `${formatCount(Math.round(value))} ${unit}`;
}

function cut(line: string, width: number): string {
  const characters = Array.from(line);
  return characters.length <= width ? line : characters.slice(0, Math.max(0, width)).join('');
}
