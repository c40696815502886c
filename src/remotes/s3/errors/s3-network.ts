import type { SyncAgentErrorOptions } from '../../../platform/errors.ts';

export interface NetworkFacts {
  /** Node's or the system's name of the failure, such as ECONNREFUSED. */
  readonly errno: string;
  readonly name: string;
  readonly message: string;
  /** The address that was tried, if it is known: `localhost:9000`. */
  readonly peer?: string | undefined;
  /** The proxy that connections go to instead of the server. */
  readonly proxy?: string | undefined;
}

export interface NetworkFailure extends SyncAgentErrorOptions {
  /** In plain words. Undefined: the words of the system or the library will do. */
  readonly why?: string;
}

const certificateErrors = /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|ERR_TLS/;
const checkEndpoint = 'Check the endpoint, and that the server runs';
/** For failures that may pass. A typing error stays one. */
const passing = { retryable: true } as const;

const noConnection =
  /^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|ETIMEDOUT)$|did not establish a connection/;

/** What went wrong before there was an answer; undefined when it was not the network. */
export function explainNetwork(facts: NetworkFacts): NetworkFailure | undefined {
  const failure = explain(facts);
  const { proxy, errno, message } = facts;
  if (proxy === undefined || !(noConnection.test(errno) || noConnection.test(message))) return failure;
  // All connections go to the proxy, so it is the proxy that cannot be reached.
  return {
    ...failure,
    why: `the proxy ${proxy} cannot be reached: ${failure?.why ?? message}`,
    remedy: 'Check that the proxy runs',
  };
}

function explain(facts: NetworkFacts): NetworkFailure | undefined {
  const { errno, message, name } = facts;
  const at = facts.peer === undefined ? '' : ` at ${facts.peer}`;
  if (certificateErrors.test(errno)) return explainCertificate(errno, message);
  const isTls = errno === 'EPROTO' || errno.startsWith('ERR_SSL') || /SSL routines/.test(message);
  if (isTls) return explainTls(errno, message);
  if (errno.startsWith('HPE_')) {
    return {
      why: `what answers${at} does not speak HTTP (${errno})`,
      remedy: 'Check host and port of the endpoint, and whether it should begin with https://',
    };
  }
  switch (errno) {
    case 'ENOTFOUND':
      return {
        why: `there is no host "${hostOf(message)}" (${errno})`,
        remedy: 'Check how the endpoint is spelt, and the name server of this host',
      };
    case 'EAI_AGAIN':
      return {
        ...passing,
        retryForMs: 3000,
        why: `the name server does not tell where "${hostOf(message)}" is (${errno})`,
        remedy: 'Check the network and the name server of this host',
      };
    case 'ECONNREFUSED':
      return { ...passing, retryForMs: 5000, why: `nothing listens${at} (${errno})`, remedy: checkEndpoint };
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EHOSTDOWN':
    case 'ENETDOWN':
      return {
        ...passing,
        retryForMs: 1000,
        why: `there is no way to the server${at} (${errno})`,
        remedy: 'Check the network and the endpoint',
      };
    case 'ECONNRESET':
    case 'EPIPE':
    case 'ERR_STREAM_PREMATURE_CLOSE':
      return { ...passing, why: `the server closed the connection (${errno})` };
  }
  if (/did not establish a connection|ETIMEDOUT/.test(`${message} ${errno}`)) {
    return {
      ...passing,
      retryForMs: 6000,
      why: `the server${at} does not accept a connection`,
      remedy: 'Check the network, a firewall on the way, and the endpoint',
    };
  }
  if (name === 'TimeoutError') return { ...passing, why: 'the server does not answer' };
  return undefined;
}

function explainCertificate(errno: string, message: string): NetworkFailure {
  const authority =
    "Name the server's certificate authority in AWS_CA_BUNDLE or NODE_EXTRA_CA_CERTS, a file of PEM certificates";
  if (errno === 'CERT_HAS_EXPIRED')
    return {
      why: `the server's certificate has expired (${errno})`,
      remedy: "Renew the server's certificate, or set this host's clock",
    };
  if (errno === 'CERT_NOT_YET_VALID')
    return { why: `the server's certificate is not valid yet (${errno})`, remedy: "Set this host's clock" };
  if (errno === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const names = /altnames: (.*)/.exec(message)?.[1];
    const others = names === undefined ? '' : `: it is for ${names}`;
    return {
      why: `the server's certificate is for another host (${errno})${others}`,
      remedy:
        'Use the name in the certificate as the endpoint, or give the server a certificate for this name',
    };
  }
  return { why: `the server's certificate is not trusted: ${message} (${errno})`, remedy: authority };
}

function explainTls(errno: string, message: string): NetworkFailure {
  if (/wrong version number|packet length too long|http request|unknown protocol/i.test(message)) {
    return {
      why: `the server does not speak TLS at this port (${errno})`,
      remedy: 'Write the endpoint with http://, or the port that speaks TLS',
    };
  }
  // `error:0A000410:SSL routines::sslv3 alert handshake failure:../deps/…`
  const reason = /SSL routines:[^:]*:([^:]+)/.exec(message)?.[1]?.trim() ?? message;
  return {
    why: `the TLS handshake failed: ${reason} (${errno})`,
    remedy: 'Check the endpoint, and which versions of TLS the server speaks',
  };
}

/** `getaddrinfo ENOTFOUND minio.internal` */
function hostOf(message: string): string {
  return /(?:ENOTFOUND|EAI_AGAIN) (\S+)/.exec(message)?.[1] ?? 'of the endpoint';
}
