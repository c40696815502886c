import type { Command } from './command.ts';

/** What every command asks that restores before an application starts. */
export const startOptions = {
  'wait-for-lease': {
    type: 'string',
    describe:
      'Let a host that has the lease make its final backup first, but wait no longer than this, such as 60s',
  },
  'on-error': {
    type: 'string',
    describe:
      'Before a start, when the remote is out of reach: fail, or continue with the present store [default: continue if there is one]. ' +
      'When --wait-for-lease waited in vain: fail, or go on [default: go on]',
  },
} as const satisfies Command['options'];
