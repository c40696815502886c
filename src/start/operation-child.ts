import { loadProgram } from './load-program.ts';

const { operationChild } = await loadProgram('operation');
await operationChild();
