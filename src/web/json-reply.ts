import type { Reply } from './routes.ts';

export const json = (status: number, document: object): Reply => ({
  status,
  type: 'application/json',
  body: `${JSON.stringify(document)}\n`,
});
