import type { OperationRecord } from '../../../home/operations/records.ts';
import type { DiskFacts } from '../../disk-facts.ts';
import { html } from '../html.ts';
import type { Html } from '../html.ts';
import { ago, clockTime, shortDuration, timeTag } from '../times.ts';

/** The newest operations on the store by any program of this host, newest first. */
export function operationsSection(facts: DiskFacts | null, nowMs: number): Html | null {
  const operations = facts?.operations ?? [];
  if (operations.length === 0) return null;
  return html`<section class="panel">
    <h2>Recent operations</h2>
    <ol class="events">
      ${operations.toReversed().map((each) => item(each, nowMs))}
    </ol>
    <p class="note">By any program on this host. <code>sync-agent log</code> shows all.</p>
  </section>`;
}

function item(record: OperationRecord, nowMs: number): Html {
  const { state, operation, name, program, pid, error } = record;
  const level = state === 'open' ? 'warn' : state === 'failed' ? 'error' : 'info';
  const atMs = Date.parse(record.beganAt);
  const mark = level === 'info' ? null : html`<span class="sr">${level}: </span>`;
  const who = pid === null ? '' : ` by ${program}, pid ${pid}`;
  return html`<li class="${level}">
    <span class="when"
      >${timeTag(atMs, ago(nowMs, atMs))} <span class="utc">${clockTime(nowMs, atMs)}</span></span
    ><span class="what"
      >${mark}${name === undefined ? operation : `${operation} "${name}"`}:
      ${outcomeOf(record)}${who}${error === undefined ? '' : `. ${error.message}`}</span
    >
  </li>`;
}

function outcomeOf({ state, outcome, tookMs }: OperationRecord): string {
  const took = tookMs === null ? '' : ` in ${shortDuration(tookMs)}`;
  switch (state) {
    case 'done':
      return `${outcome ?? 'done'}${took}`;
    case 'failed':
      return `failed${took}`;
    case 'running':
      return 'running';
    case 'open':
      return 'did not finish';
    default:
      return state satisfies never;
  }
}
