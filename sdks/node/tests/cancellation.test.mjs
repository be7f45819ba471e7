// Aborting: a request, whose answer is how the native work ended.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

import { Boxlite, CancelledError } from '@boxlite-ai/boxlite';

import { ROUNDS, Registry, emptyHome, fails, open } from './helpers.mjs';

test('a pull is cancelled at every stage, and the next one succeeds', async (t) => {
  const registry = await Registry.start(t);
  const image = await registry.push('app:1', { layers: [{ filler_bytes: 200_000 }] });
  const layer = image.layers[0];
  const runtime = await open(t);
  const stages = [
    { on: 'manifests', faults: [{ hold_head: 'g' }] },
    { on: { blob: image.config_digest }, faults: [{ hold_after: [0, 'g'] }] },
    { on: { blob: layer }, faults: [{ hold_head: 'g' }] },
    { on: { blob: layer }, faults: [{ hold_after: [40_000, 'g'] }] },
  ];
  for (const [number, rule] of stages.entries()) {
    const gate = `stage-${number}`;
    await registry.rule(JSON.parse(JSON.stringify(rule).replace('"g"', `"${gate}"`)));
    const abort = new AbortController();
    const pull = runtime.images.pull(image.reference, { signal: abort.signal });
    await registry.reached(gate);
    const reason = new Error(`stage ${number}`);
    abort.abort(reason);
    const error = await fails(pull, 'Cancelled');
    assert.ok(error instanceof CancelledError);
    assert.deepEqual([error.name, error.cause], ['AbortError', reason]);
    await registry.abandoned(gate);
    assert.deepEqual(await runtime.images.list(), []);
    await registry.heal();
    assert.equal((await runtime.images.pull(image.reference)).id, image.id);
    assert.deepEqual((await runtime.check()).findings, []);
    await runtime.images.remove(image.reference);
  }
});

test('a signal that is aborted already lets nothing begin', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  const runtime = await open(t);
  const signal = AbortSignal.abort('before');
  const asked = (await registry.requests('any')).length;
  assert.equal((await fails(runtime.images.pull(reference, { signal }), 'Cancelled')).cause, 'before');
  await fails(runtime.images.list({ signal }), 'Cancelled');
  await fails(runtime.metrics({ signal }), 'Cancelled');
  await fails(runtime.events({ signal }).next(), 'Cancelled');
  await fails(Boxlite.open({ ...emptyHome(t), signal }), 'Cancelled');
  assert.equal((await registry.requests('any')).length, asked);
  await runtime.shutdown();
  await fails(runtime.images.list({ signal }), 'Stopped');
});

test('an abort that comes too late changes nothing', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  const runtime = await open(t);
  const abort = new AbortController();
  assert.equal((await runtime.images.pull(reference, { signal: abort.signal })).reference, reference);
  abort.abort();
  assert.equal((await runtime.images.list()).length, 1);
});

test('one signal cancels many calls, and only those it was given to', async (t) => {
  const registry = await Registry.start(t);
  const references = await Promise.all(
    Array.from({ length: 8 }, async (_, number) => (await registry.push(`app-${number}:1`)).reference),
  );
  await registry.rule({ on: 'manifests', faults: [{ hold_head: 'held' }] });
  const runtime = await open(t);
  const abort = new AbortController();
  const pulls = references.map((reference, number) =>
    runtime.images.pull(reference, number % 2 ? { signal: abort.signal } : {}),
  );
  const settled = Promise.allSettled(pulls);
  await registry.reached('held', 8);
  abort.abort();
  await Promise.all(pulls.filter((_, number) => number % 2).map((pull) => fails(pull, 'Cancelled')));
  await registry.release('held');
  const results = await settled;
  assert.deepEqual(
    results.map(({ status }) => status),
    references.map((_, number) => (number % 2 ? 'rejected' : 'fulfilled')),
  );
});

/** Returns how many threads of the library this process has. */
function threads() {
  const isOurs = (id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').startsWith('boxlite-');
    } catch {
      // It has ended since.
      return false;
    }
  };
  return readdirSync('/proc/self/task').filter(isOurs).length;
}

test('calls that end in the same turn as the shutdown are heard of before it', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  await registry.rule({ on: 'manifests', faults: [{ hold_head: 'held' }] });
  const runtime = await open(t);
  let heard = false;
  const far = async () => {
    for await (const event of runtime.images.pull(reference)) {
      assert.ok(event.type);
    }
  };
  const pull = far().catch(() => (heard = true));
  await registry.reached('held');
  const over = runtime.shutdown();
  // The event loop does not turn until the runtime has ended.
  while (threads() > 0);
  await over;
  assert.ok(heard);
  await pull;
});

test('shutdown races a hundred pulls: each settles once, before it, and the home is let go of', async (t) => {
  const registry = await Registry.start(t);
  const references = await Promise.all(
    Array.from({ length: 20 }, async (_, number) => (await registry.push(`app-${number}:1`)).reference),
  );
  const options = emptyHome(t);
  for (let round = 0; round < ROUNDS; round += 1) {
    const gate = `round-${round}`;
    await registry.heal();
    await registry.rule({ on: 'manifests', faults: [{ hold_head: gate }] });
    const runtime = await Boxlite.open(options);
    let unsettled = 100;
    let codes = [];
    const pulls = Array.from({ length: 100 }, async (_, number) => {
      const outcome = await runtime.images.pull(references[number % 20]).then(
        () => 'pulled',
        (error) => error.code,
      );
      unsettled -= 1;
      codes.push(outcome);
    });
    await registry.reached(gate, 20);
    // In every other round the pulls go on at the same moment.
    const released = round % 2 ? registry.release(gate) : undefined;
    await runtime.shutdown();
    assert.equal(unsettled, 0, `${unsettled} pulls outlived the shutdown`);
    await fails(runtime.images.list(), 'Stopped');
    await Promise.all(pulls);
    assert.equal(codes.length, 100);
    assert.deepEqual(
      codes.filter((code) => code !== 'Stopped' && code !== 'pulled'),
      [],
    );
    await released;
    const again = await Boxlite.open(options);
    assert.deepEqual((await again.check()).findings, []);
    await again.shutdown();
  }
});
