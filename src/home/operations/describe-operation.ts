import type { OperationRecord } from './records.ts';

/** An operation in a sentence: what, its state, when and who. */
export function describeOperation({
  operation,
  name,
  state,
  beganAt,
  host,
  pid,
  program,
  error,
}: OperationRecord): string {
  const what = name === undefined ? `"${operation}"` : `"${name}" (${operation})`;
  const who =
    pid === null ? '' : ` by ${program ?? 'a program'} (pid ${pid} on ${host ?? 'an unknown host'})`;
  return `${what}, which ${stateText(state, error?.code)}: begun ${beganAt}${who}`;
}

function stateText(state: OperationRecord['state'], code: string | undefined): string {
  switch (state) {
    case 'open':
      return 'did not finish';
    case 'running':
      return 'is still running';
    case 'failed':
      return `failed with ${code}`;
    case 'done':
      return 'ended';
    default:
      return state satisfies never;
  }
}
