import type { Unsynced } from '../platform/disk/unsynced.ts';

/**
 * Calls of one remote whose objects need not survive a power cut before `flush` has resolved: until then such a cut may lose
 * or shorten them. A remote that takes no notice makes each durable at once, and adds nothing here.
 */
export class DurableLater {
  #unsynced: Unsynced | undefined;

  /** For the remote: what it has written by these calls. */
  unsynced(make: () => Unsynced): Unsynced {
    return (this.#unsynced ??= make());
  }

  async flush(): Promise<void> {
    await this.#unsynced?.flush();
  }
}
