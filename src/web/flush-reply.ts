import { SyncAgentError, messageOf } from '../platform/errors.ts';
import { redact } from '../report/redact.ts';
import { json } from './json-reply.ts';
import type { AgentView, Reply } from './routes.ts';

/**
 * 200 when all that was acknowledged before the request is saved; 504 if it is not saved in time, 503 if it cannot be. `timeoutMs` of the
 * query: how long to wait.
 */
export async function flushReply(agent: Pick<AgentView, 'flush'>, query: URLSearchParams): Promise<Reply> {
  const given = query.get('timeoutMs');
  if (given !== null && !/^[1-9][0-9]{0,6}$/.test(given))
    return json(400, {
      isSaved: false,
      message: 'Cannot use timeoutMs: expected milliseconds from 1 to 9999999',
    });
  try {
    const { type } = await agent.flush(given === null ? {} : { timeoutMs: Number(given) });
    return json(200, { isSaved: true, type });
  } catch (error) {
    const { code, message, remedy } =
      error instanceof SyncAgentError
        ? error
        : { code: 'INTERNAL', message: messageOf(error), remedy: undefined };
    return json(
      code === 'BUSY' ? 504 : 503,
      redact({ isSaved: false, code, message, remedy: remedy ?? null }),
    );
  }
}
