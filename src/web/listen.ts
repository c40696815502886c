import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { formatHttpAddress } from './http-address.ts';
import type { HttpAddress, HttpSettings } from './http-address.ts';
import { SyncAgentError, errnoOf, messageOf } from '../platform/errors.ts';

export interface Listening {
  readonly port: number;
  /** The wanted port is taken, so this is another one. */
  readonly isElsewhere: boolean;
}

/** Listens at the address. If the port is taken, and the user did not ask for it, takes any free port. */
export async function listen(server: Server, settings: HttpSettings): Promise<Listening> {
  try {
    return { port: await bind(server, settings), isElsewhere: false };
  } catch (error) {
    if (settings.isPortFixed || errnoOf(error) !== 'EADDRINUSE') throw explained(error, settings);
  }
  try {
    return { port: await bind(server, { host: settings.host, port: 0 }), isElsewhere: true };
  } catch (error) {
    throw explained(error, settings);
  }
}

function bind(server: Server, { host, port }: HttpAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function explained(error: unknown, settings: HttpSettings): SyncAgentError {
  const action = `Cannot serve HTTP on "${formatHttpAddress(settings)}"`;
  switch (errnoOf(error)) {
    case 'EADDRINUSE':
      return new SyncAgentError('USAGE', `${action}: another process listens there`, {
        remedy: 'Choose another port with --http, or omit --http to use any free port',
        cause: error,
      });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new SyncAgentError('USAGE', `${action}: this host has no such address`, {
        remedy: 'Name an address of this host with --http, such as 127.0.0.1:8477',
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
      return new SyncAgentError('DENIED', `${action}: this user may not use that port`, {
        remedy: 'Choose a port above 1023 with --http',
        cause: error,
      });
    default:
      return new SyncAgentError('INTERNAL', `${action}: ${messageOf(error)}`, { cause: error });
  }
}
