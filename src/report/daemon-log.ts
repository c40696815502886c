import { pino } from 'pino';
import { errnoOf } from '../platform/errors.ts';
import type { AgentEvent, DaemonEvent, Phase } from '../platform/events.ts';
import { describeEvent } from './daemon-events.ts';
import type { EventLevel } from './daemon-events.ts';
import { redact, redactText } from './redact.ts';
import { plainStyle } from './style.ts';
import type { Style } from './style.ts';

export type LogFormat = 'text' | 'json';

export interface LogStream {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
  on?(event: 'error', listener: (error: Error) => void): unknown;
}

export interface DaemonLogOptions {
  readonly format: LogFormat;
  /** Events below this level are left out. */
  readonly level: EventLevel;
  readonly stream: LogStream;
  /** For text. */
  readonly style?: Style;
  /** The wall clock, milliseconds. */
  readonly now?: () => number;
}

export interface DaemonLog {
  readonly emit: (event: DaemonEvent | AgentEvent) => void;
}

/** Progress comes with each chunk. A log needs a sign of life now and then. */
const progressEveryMs = 10_000;
const levels: readonly EventLevel[] = ['debug', 'info', 'warn', 'error'];

/** People at a terminal read sentences, everything else reads JSON. */
export function defaultLogFormat(stream: LogStream): LogFormat {
  return stream.isTTY === true ? 'text' : 'json';
}

/** Writes a line for each event. If the stream breaks, the log is lost and nothing else: backups matter more. */
export function createDaemonLog(options: DaemonLogOptions): DaemonLog {
  const { format, level, now = Date.now } = options;
  const write = unbreakable(options.stream);
  const print =
    format === 'json' ? jsonLines(write, level, now) : textLines(write, options.style ?? plainStyle, now);
  let progress: { readonly phase: Phase; readonly saidAt: number } | undefined;
  return {
    emit: (event) => {
      const { level: own, sentence } = describeEvent(event);
      if (levels.indexOf(own) < levels.indexOf(level)) return;
      if (event.type === 'progress') {
        const at = now();
        if (progress?.phase === event.phase && Math.abs(at - progress.saidAt) < progressEveryMs) return;
        progress = { phase: event.phase, saidAt: at };
      }
      print(own, redactText(sentence), event);
    },
  };
}

type Print = (level: EventLevel, sentence: string, event: DaemonEvent | AgentEvent) => void;

function jsonLines(write: (text: string) => void, level: EventLevel, now: () => number): Print {
  const logger = pino(
    {
      base: null,
      level,
      timestamp: () => `,"time":"${new Date(now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
  return (own, sentence, event) => logger[own](redact(event), sentence);
}

function textLines(write: (text: string) => void, style: Style, now: () => number): Print {
  const marks: Readonly<Record<EventLevel, string>> = {
    debug: '',
    info: '',
    warn: `${style.yellow('warning:')} `,
    error: `${style.red('error:')} `,
  };
  return (own, sentence) => {
    const time = new Date(now()).toISOString().slice(11, 19);
    write(`${style.dim(`${time}Z`)}  ${marks[own]}${sentence}\n`);
  };
}

/** A reader that has gone ends the log. A full disk costs a line. */
function unbreakable(stream: LogStream): (text: string) => void {
  let isOver = false;
  const judge = (error: unknown): void => {
    if (['EPIPE', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END'].includes(errnoOf(error) ?? ''))
      isOver = true;
  };
  stream.on?.('error', judge);
  return (text) => {
    if (isOver) return;
    try {
      stream.write(text);
    } catch (error) {
      judge(error);
    }
  };
}
