import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { edited, type Edit } from '../support/edits.ts';

/**
 * Loaded before mocha (node --import): gives it mutated source, says of each edited file that it was loaded, and leaves
 * the working tree alone. HOLDFAST_TEST_EDITS has the edits as JSON, their files relative to the working directory.
 */
const edits = JSON.parse(process.env['HOLDFAST_TEST_EDITS'] ?? '[]') as readonly Edit[];
const byUrl = new Map<string, readonly Edit[]>();
for (const edit of edits) {
  const url = pathToFileURL(edit.file).href;
  byUrl.set(url, [...(byUrl.get(url) ?? []), edit]);
}
registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    const mine = byUrl.get(url);
    if (mine === undefined) return loaded;
    let source =
      typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString('utf8');
    for (const edit of mine) source = edited(source, edit);
    process.stderr.write(`{"mutated":"${mine[0]?.file ?? ''}"}\n`);
    return { ...loaded, source };
  },
});
