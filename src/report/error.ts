import { SyncAgentError, messageOf } from '../platform/errors.ts';
import { printable } from './format.ts';
import type { Style } from './style.ts';

/** Any thrown value as the error class that users see. */
export function asSyncAgentError(error: unknown): SyncAgentError {
  if (error instanceof SyncAgentError) return error;
  return new SyncAgentError('INTERNAL', `Cannot go on: ${messageOf(error)}`, {
    remedy: 'This is a defect: please report it with what --debug prints',
    cause: error,
  });
}

/** The failure for people: what failed, and what to do. */
export function errorLines(error: SyncAgentError, style: Style): readonly string[] {
  const remedy = error.remedy === undefined ? [] : [`  ${printable(error.remedy)}`];
  return [`${style.red('error:')} ${printable(error.message)}`, ...remedy];
}

export interface ErrorDocument {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly remedy: string | null;
    readonly exitCode: number;
  };
}

export function errorDocument({ code, message, remedy, exitCode }: SyncAgentError): ErrorDocument {
  return { error: { code, message, remedy: remedy ?? null, exitCode } };
}

/** The stack, and those of its causes. */
export function stackLines(error: unknown): readonly string[] {
  const lines: string[] = [];
  for (
    let each = error;
    each !== undefined && lines.length < 500;
    each = each instanceof Error ? each.cause : undefined
  ) {
    const text = each instanceof Error ? (each.stack ?? each.message) : messageOf(each);
    lines.push(...`${lines.length === 0 ? '' : 'caused by: '}${text}`.split('\n'));
  }
  return lines;
}
