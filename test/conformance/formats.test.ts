import { formatCases } from '../support/format-cases.ts';
import { describeFormat } from './format-conformance.ts';

for (const [, { formats }] of formatCases)
  for (const history of ['copy', 'linked'] as const) describeFormat(formats.current, history);
