import { connect } from 'node:tls';
import { whenAborted } from '../../../platform/abort-signals.ts';

const patienceMs = 2000;

/** Whether a server speaks TLS at a port, with any certificate. Never rejects. */
export async function speaksTls(url: URL, signal: AbortSignal | undefined): Promise<boolean> {
  const limit = AbortSignal.timeout(patienceMs);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const socket = connect({ host, port: Number(url.port || 80), rejectUnauthorized: false });
  try {
    return await Promise.race([
      new Promise<boolean>((resolve) => {
        socket.once('secureConnect', () => resolve(true));
        socket.once('error', () => resolve(false));
        socket.once('close', () => resolve(false));
      }),
      whenAborted(signal === undefined ? limit : AbortSignal.any([signal, limit])).then(() => false),
    ]);
  } finally {
    socket.on('error', () => undefined).destroy();
  }
}
