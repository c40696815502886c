interface Waiting {
  readonly host: number;
  readonly weight: number;
  readonly isReady: () => boolean;
  readonly isPatient: boolean;
  readonly go: () => void;
}

/** A race takes some hundreds. */
const mostTurns = 10_000;

export interface TurnOptions {
  /** How often it is chosen, beside others. Default 1. */
  readonly weight?: number;
  /** Until this is true, it is not chosen. */
  readonly isReady?: () => boolean;
  /** Goes on all the same if nobody else can: its patience is over. */
  readonly isPatient?: boolean;
}

/** Lets one of those who wait go on at a time, the seed says which. The next one goes when nothing moves any more, on the disk either. */
export class Turns {
  readonly #random: () => number;
  /** How likely the host that went last goes on. */
  readonly #stickiness: number;
  #waiting: Waiting[] = [];
  #last = -1;

  constructor(random: () => number, stickiness: number) {
    this.#random = random;
    this.#stickiness = stickiness;
  }

  wait(
    host: number,
    { weight = 1, isReady = () => true, isPatient = false }: TurnOptions = {},
  ): Promise<void> {
    return new Promise((go) => this.#waiting.push({ host, weight, isReady, isPatient, go }));
  }

  /** Whoever waits there never goes on: the process has died. */
  drop(host: number): void {
    this.#waiting = this.#waiting.filter((each) => each.host !== host);
  }

  /** Resolves when `isOver`. `mayGo`: whether a host is awake. */
  async run(isOver: () => boolean, mayGo: (host: number) => boolean): Promise<void> {
    for (let turn = 0; turn < mostTurns; turn += 1) {
      await rest();
      if (isOver()) return;
      const awake = this.#waiting.filter(({ host }) => mayGo(host));
      const ready = awake.filter(({ isReady }) => isReady());
      const stays = ready.filter(({ host }) => host === this.#last);
      const chosen =
        this.#choose(stays.length > 0 && this.#random() < this.#stickiness ? stays : ready) ??
        this.#choose(awake.filter(({ isPatient }) => isPatient));
      if (chosen === undefined) throw new Error('nobody can go on');
      this.#waiting = this.#waiting.filter((each) => each !== chosen);
      this.#last = chosen.host;
      chosen.go();
    }
    throw new Error(`nobody comes to an end in ${mostTurns} turns`);
  }

  #choose(from: readonly Waiting[]): Waiting | undefined {
    let left = this.#random() * from.reduce((sum, { weight }) => sum + weight, 0);
    return from.find(({ weight }) => (left -= weight) < 0);
  }
}

/** Resolves when nothing is left to do but what waits for its turn. */
async function rest(): Promise<void> {
  do await new Promise((resolve) => setImmediate(resolve));
  while (
    process
      .getActiveResourcesInfo()
      .some((name) => /^(FSReq|CloseReq|FileHandleCloseReq|Immediate)/.test(name))
  );
}
