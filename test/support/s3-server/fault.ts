import type { S3Operation } from './operation.ts';

/** What a fault hook and the log see of one request. */
export interface S3Request {
  /** 1 for the first request of this server. */
  readonly number: number;
  readonly operation: S3Operation;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** `after` means that the request took effect and only its answer is lost. */
export type Fault =
  | {
      readonly type: 'status';
      readonly status: number;
      readonly code: string;
      readonly retryAfterSeconds?: number;
      readonly when?: When;
    }
  | { readonly type: 'drop'; readonly when: When }
  /** No answer, ever. */
  | { readonly type: 'hang'; readonly when: When }
  | { readonly type: 'delay'; readonly ms: number }
  /** The answer without this header, or with this value of it. */
  | { readonly type: 'header'; readonly name: string; readonly value?: string }
  /** The answer's XML, changed. */
  | { readonly type: 'xml'; readonly edit: (xml: string) => string }
  /** The body of the answer: cut off, silent, or with one bit wrong, from this byte on. */
  | { readonly type: 'truncate'; readonly afterBytes: number }
  | { readonly type: 'stall'; readonly afterBytes: number }
  | { readonly type: 'flip'; readonly atByte: number };

type When = 'before' | 'after';

export type FaultHook = (request: S3Request) => Fault | undefined | Promise<Fault | undefined>;
