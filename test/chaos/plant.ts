import { registerHooks } from 'node:module';
import { CRASHES } from './crashes.ts';
import { PLANTS } from './plants.ts';
import { edited } from '../support/edits.ts';

/**
 * Loaded before the program (node --import): replaces pieces of its source, says so, and says when the new one runs.
 * SIGUSR2 arms a planted crash.
 */
const id = process.env['HOLDFAST_TEST_PLANT'];
const plant = [...PLANTS, ...CRASHES].find((one) => one.id === id);
if (plant === undefined) throw new Error('HOLDFAST_TEST_PLANT names no plant');
let ran = false;
let armed = false;
process.on('SIGUSR2', () => {
  armed = true;
});
Object.assign(globalThis, {
  holdfastPlanted: () => {
    if (!ran) process.stderr.write(`{"planted":"${plant.id}","ran":true}\n`);
    ran = true;
  },
  holdfastCrash: () => {
    if (armed) process.kill(process.pid, 'SIGKILL');
  },
});
registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    const edits = plant.edits.filter((edit) => url.endsWith(edit.file));
    if (edits.length === 0) return loaded;
    let source =
      typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString('utf8');
    for (const edit of edits) source = edited(source, edit);
    process.stderr.write(`{"planted":"${plant.id}"}\n`);
    return { ...loaded, source };
  },
});
