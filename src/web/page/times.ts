import { formatUtc } from '../../report/format.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** A duration in words, with one unit: `a moment`, `42 seconds`, `4 minutes`, `3 hours`, `2 days`. */
export function longDuration(ms: number): string {
  if (!(ms >= 2 * second)) return 'a moment';
  if (ms < minute) return some(ms / second, 'second');
  if (ms < 90 * minute) return some(ms / minute, 'minute');
  if (ms < 36 * hour) return some(ms / hour, 'hour');
  return some(ms / day, 'day');
}

/** A short duration: `42 s`, `4 min`, `3 h`, `2 d`. From an hour on with the rest: `1 h 20 min`. */
export function shortDuration(ms: number): string {
  if (!(ms >= second)) return '0 s';
  if (ms < minute) return `${Math.floor(ms / second)} s`;
  if (ms < hour) return `${Math.floor(ms / minute)} min`;
  if (ms < day) return two(ms, [hour, 'h'], [minute, 'min']);
  return two(ms, [day, 'd'], [hour, 'h']);
}

export const ago = (nowMs: number, atMs: number): string =>
  nowMs - atMs < 2 * second ? 'just now' : `${longDuration(nowMs - atMs)} ago`;

export const ahead = (nowMs: number, atMs: number): string =>
  atMs - nowMs < 2 * second ? 'now' : `in ${longDuration(atMs - nowMs)}`;

/** A relative time. The absolute time is there for programs, and as a tooltip. */
export function timeTag(atMs: number, label: string): Html {
  return html`<time datetime="${isoOf(atMs)}" title="${formatUtc(atMs)}">${label}</time>`;
}

/** `12:30:05Z`, with the date if it is not today's. */
export function clockTime(nowMs: number, atMs: number): string {
  const full = formatUtc(atMs);
  const today = formatUtc(nowMs).slice(0, 11);
  return full.startsWith(today) ? full.slice(11) : full;
}

const isoOf = (ms: number): string => formatUtc(ms).replace(' ', 'T');

function some(amount: number, unit: string): string {
  const whole = Math.floor(amount);
  return `${whole.toLocaleString('en-US')} ${unit}${whole === 1 ? '' : 's'}`;
}

type Unit = readonly [ms: number, name: string];

function two(ms: number, [large, largeName]: Unit, [small, smallName]: Unit): string {
  const rest = Math.floor((ms % large) / small);
  return `${Math.floor(ms / large)} ${largeName}${rest === 0 ? '' : ` ${rest} ${smallName}`}`;
}
