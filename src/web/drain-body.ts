import type { IncomingMessage } from 'node:http';

/** Reads and forgets a request's body. False when it is longer than `maxBytes`; the rest is then left unread. */
export function drainBody(request: IncomingMessage, maxBytes: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) return;
      request.pause();
      resolve(false);
    });
    request.once('end', () => resolve(true));
    request.once('error', reject);
  });
}
