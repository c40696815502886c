import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';

const patienceMs = 1000;

/** An address of this host beyond loopback at which somebody listens on `port`; undefined if there is none. */
export async function openBeyondLoopback(port: number): Promise<string | undefined> {
  const addresses = Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .filter(({ internal, scopeid = 0 }) => !internal && scopeid === 0)
    .map(({ address }) => address);
  const found = await Promise.all(
    addresses.map(async (host) => ((await answers(host, port)) ? host : undefined)),
  );
  return found.find((host) => host !== undefined);
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: patienceMs });
    const finish = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
    socket.once('timeout', () => finish(false));
  });
}
