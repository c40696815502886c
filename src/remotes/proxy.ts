import type { Agent as HttpAgent } from 'node:http';
import type { Agent as HttpsAgent, AgentOptions } from 'node:https';
import type { HttpsProxyAgent } from 'https-proxy-agent';
import { SyncAgentError } from '../platform/errors.ts';
import { proxyUrl } from './proxy-url.ts';

/** An HTTP proxy that stands between this host and a server. */
export interface Proxy {
  /** Without credentials: for people. */
  readonly shown: string;
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

/**
 * The proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either case, name for a URL; undefined for none. Its agents
 * send plain HTTP through it, and TLS through a tunnel. Their library is loaded only if there is one. USAGE for a proxy of
 * another kind.
 */
export async function proxyFor(
  url: string,
  options: AgentOptions,
  env: Readonly<NodeJS.ProcessEnv> = process.env,
): Promise<Proxy | undefined> {
  const text = proxyUrl(new URL(url), env);
  if (text === undefined) return undefined;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    const shown = text.replace(/.*@/, '***@');
    throw new SyncAgentError('USAGE', `Cannot use the proxy "${shown}": it is not an http(s) URL`, {
      remedy: 'Write HTTP_PROXY and HTTPS_PROXY as http://host:port, or name the server in NO_PROXY',
    });
  }
  const [{ HttpProxyAgent }, { HttpsProxyAgent }] = await Promise.all([
    import('http-proxy-agent'),
    import('https-proxy-agent'),
  ]);
  // The types of these agents ask for a scheme.
  const address = text as `http://${string}`;
  return {
    shown: new URL(text).origin,
    http: new HttpProxyAgent(address, options),
    https: trusting(new HttpsProxyAgent(address, options), options),
  };
}

/** Behind the tunnel the agent forgets its certificate authorities. */
function trusting(agent: HttpsProxyAgent<string>, { ca }: AgentOptions): HttpsProxyAgent<string> {
  if (ca === undefined) return agent;
  const connect = agent.connect.bind(agent);
  agent.connect = (request, options) => connect(request, { ...options, ca } as typeof options);
  return agent;
}
