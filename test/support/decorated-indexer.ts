import { protectedOperation } from '../../src/library/protecting/protected-operation.ts';
import { notingAgent } from './noting-agent.ts';

/** A class whose method is protected by a decorator. Node has none yet, so its test compiles this file. */
export class Indexer {
  readonly agent = notingAgent();
  readonly #items: string[] = [];

  @protectedOperation('recreate', { agent: (self: Indexer) => self.agent, onFailure: 'restore' })
  async recreate(...items: readonly string[]): Promise<number> {
    this.#items.push(...items);
    return this.#items.length;
  }
}
