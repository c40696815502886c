/** What one writer did to the one collection that it has, in order. Only the last operation may be without an answer. */
export type Operation =
  | { readonly type: 'create'; readonly name: string; readonly mark: number }
  | { readonly type: 'rename'; readonly name: string }
  | { readonly type: 'mark'; readonly mark: number }
  | { readonly type: 'drop' }
  | { readonly type: 'upsert' | 'update'; readonly ids: readonly string[]; readonly version: number }
  | { readonly type: 'delete'; readonly ids: readonly string[] };

export interface Logged {
  readonly operation: Operation;
  /** By the clock of this machine, milliseconds since the epoch. */
  readonly sentAtMs: number;
  /** Undefined: never, so it may have happened or not. */
  ackedAtMs: number | undefined;
}

/** Which version of a record its vector is of, and its document and metadata. An update leaves the vector alone. */
export interface RecordState {
  readonly vector: number;
  readonly text: number;
}

export interface CollectionState {
  readonly name: string;
  readonly mark: number;
  readonly records: Map<string, RecordState>;
}

/** Undefined: there is no collection. */
export type SlotState = CollectionState | undefined;

/** Applies an operation in place where it can. `touched`: the records that may be others now; undefined if all may. */
export function apply(
  state: SlotState,
  operation: Operation,
): { readonly state: SlotState; readonly touched: readonly string[] | undefined } {
  if (operation.type === 'create') {
    const { name, mark } = operation;
    return { state: { name, mark, records: new Map() }, touched: undefined };
  }
  if (state === undefined) throw new Error(`there is no collection for "${operation.type}"`);
  const { records } = state;
  switch (operation.type) {
    case 'rename':
      return { state: { ...state, name: operation.name }, touched: [] };
    case 'mark':
      return { state: { ...state, mark: operation.mark }, touched: [] };
    case 'drop':
      return { state: undefined, touched: undefined };
    case 'upsert':
      for (const id of operation.ids) records.set(id, { vector: operation.version, text: operation.version });
      return { state, touched: operation.ids };
    case 'update':
      for (const id of operation.ids) {
        const known = records.get(id);
        if (known !== undefined) records.set(id, { vector: known.vector, text: operation.version });
      }
      return { state, touched: operation.ids };
    case 'delete':
      for (const id of operation.ids) records.delete(id);
      return { state, touched: operation.ids };
    default:
      return operation satisfies never;
  }
}

export const copyOf = (state: SlotState): SlotState => state && { ...state, records: new Map(state.records) };

export const stateAfter = (base: SlotState, operations: readonly Logged[]): SlotState =>
  operations.reduce((state, { operation }) => apply(state, operation).state, copyOf(base));
