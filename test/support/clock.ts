/**
 * Loaded before the program (node --import): its wall clock can be set (each SIGUSR2: two hours back, right, two hours
 * ahead, right), its monotonic clock be made to run at another rate (HOLDFAST_TEST_CLOCK_RATES: one for each pod in
 * turn, by the number in its name). Timers and other processes keep the true time.
 */
const STEPS_MS = [0, -7_200_000, 0, 7_200_000];
const rates = (process.env['HOLDFAST_TEST_CLOCK_RATES'] ?? '1').split(' ').map(Number);
const rate = rates[Number(/\d+$/.exec(process.env['POD_NAME'] ?? '')?.[0] ?? 0) % rates.length] ?? 1;
const trueNow = Date.now.bind(Date);
const trueMonotonic = performance.now.bind(performance);
let at = 0;
Date.now = () => trueNow() + (STEPS_MS[at] ?? 0);
globalThis.Date = new Proxy(Date, {
  construct: (target, args: unknown[]) =>
    Reflect.construct(target, args.length === 0 ? [target.now()] : args) as object,
});
if (rate !== 1) performance.now = () => trueMonotonic() * rate;
process.on('SIGUSR2', () => {
  at = (at + 1) % STEPS_MS.length;
});

export {};
