/** `sync-agent/chroma`: writing to a Chroma server, by the client of the package `chromadb`. */
export { createSafeWriter } from './library/safe-writer.ts';
export type {
  SafeWriter,
  SafeWriterOptions,
  WriterAgent,
  WriterIndexOptions,
} from './library/safe-writer.ts';
export type { WriterMetadata, WriterRecord } from './library/writer-input.ts';
export type { IndexOptions, IndexResult } from './engine/writing/index-records.ts';
export type { RecordProblem } from './engine/records/send-batch.ts';
export type {
  ChromaClientLike,
  ChromaCollectionLike,
  ChromaRecordsLike,
  ChromaRecordsToSend,
  EmbedderLike,
} from './stores/chroma/client/chroma-client.ts';
export type { ProtectOptions } from './api/protecting.ts';
export { SyncAgentError, isSyncAgentError } from './platform/errors.ts';
export type { ErrorCode } from './platform/errors.ts';
export type { AgentEvent, Emit } from './platform/events.ts';
