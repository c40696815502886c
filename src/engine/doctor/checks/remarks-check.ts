import type { Check, Finding, RemoteFacts } from '../check.ts';

/** What the remote, or what stands before it, does of its own accord. */
export const remarksCheck: Check<RemoteFacts> = {
  name: 'remote',
  find: async ({ context: { remote, signal } }) => {
    const remarks = (await remote.remarks?.({ signal })) ?? [];
    return remarks.map(({ name, type, message, remedy }): Finding => ({
      name,
      status: type === 'fact' ? 'ok' : 'warn',
      detail: message,
      ...(remedy === undefined ? {} : { remedy }),
    }));
  },
};
