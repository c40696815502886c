import { chances, seededFaults, startFaultProxy } from '../../test/support/fault-proxy.ts';
import type { ProxiedRequest, ProxyFault } from '../../test/support/fault-proxy.ts';
import type { Figures } from './figures.ts';

/** One program's way to the S3 server, through a proxy that spoils requests by seed. */
export interface Channel {
  readonly endpoint: string;
  /** Faults from now on, or none. Each call may cost one long silence, no more. */
  setRough(isRough: boolean): Promise<void>;
  /** Out: nobody answers, every connection is refused. */
  setOut(isOut: boolean): Promise<void>;
  /** How many requests have arrived. */
  requests(): number;
  close(): Promise<void>;
}

/** The client's own patience is 30 s; this is where the pauses of a slow answer come from. */
const slownessMs = 1500;

export async function openChannel(options: {
  readonly upstream: string;
  readonly name: string;
  readonly seed: number;
  readonly figures: Figures;
}): Promise<Channel> {
  const { upstream, name, seed, figures } = options;
  const proxy = await startFaultProxy(upstream);
  const random = chances(`${seed}/${name}`);
  const draw = seededFaults(Math.floor(random() * 2 ** 31), {
    rate: 0.06,
    stallTimeoutMs: slownessMs,
    // A wrong length of an object's answer is a lie about the object, on which the client must not insist for ever.
    mayDamage: (request, how) => how === 'flip' || request.operation !== 'GetObject',
  });
  let silences = 0;
  return {
    endpoint: proxy.endpoint,
    setRough: async (isRough) => {
      silences = random() < 0.05 ? 1 : 0;
      proxy.setFault(
        isRough
          ? async (request) => {
              const drawn = await draw(request);
              const fault = drawn !== undefined && isSilent(drawn) ? silence(request, drawn) : drawn;
              if (fault !== undefined) figures.count('faults', fault.type);
              return fault;
            }
          : undefined,
      );
      if (!isRough) await proxy.accept();
    },
    setOut: (isOut) => (isOut ? proxy.refuse() : proxy.accept()),
    requests: () => proxy.requests.length,
    close: () => proxy.close(),
  };

  /** A server-side copy may be silent for ten minutes before the client gives it up: longer than a run. */
  function silence(request: ProxiedRequest, fault: ProxyFault): ProxyFault {
    const mayHang =
      silences > 0 && request.operation !== 'CopyObject' && request.operation !== 'UploadPartCopy';
    if (mayHang) silences -= 1;
    return mayHang ? fault : { type: 'reset', when: 'before' };
  }
}

const isSilent = (fault: ProxyFault): boolean =>
  fault.type === 'hang' || fault.type === 'stall' || (fault.type === 'length' && fault.ending === 'stall');
