import { registerHooks } from 'node:module';
import { PLANTS } from './plants.ts';

/** Loaded before the program (node --import): replaces one piece of its source, says so, and says when it runs. */
const plant = PLANTS.find((one) => one.id === process.env['HOLDFAST_TEST_PLANT']);
if (plant === undefined) throw new Error('HOLDFAST_TEST_PLANT names no plant');
let ran = false;
Object.assign(globalThis, {
  holdfastPlanted: () => {
    if (!ran) process.stderr.write(`{"planted":"${plant.id}","ran":true}\n`);
    ran = true;
  },
});
registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.endsWith(plant.file)) return loaded;
    const source = typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString('utf8');
    if (!source.includes(plant.find)) throw new Error(`the plant ${plant.id} no longer fits ${plant.file}`);
    process.stderr.write(`{"planted":"${plant.id}"}\n`);
    return { ...loaded, source: source.replace(plant.find, () => plant.replace) };
  },
});
