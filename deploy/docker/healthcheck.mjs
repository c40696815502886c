// Whether the agent in this container lives: exit 0, or 1. Asks /healthz at the port that SYNC_AGENT_HTTP names; with
// `off` there is nothing to ask, and the container's own process is all that is known.
const address = process.env.SYNC_AGENT_HTTP ?? '127.0.0.1:8477';
if (address !== 'off') {
  const port = address.slice(address.lastIndexOf(':') + 1);
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(4000) });
    process.exitCode = answer.ok ? 0 : 1;
  } catch {
    process.exitCode = 1;
  }
}
