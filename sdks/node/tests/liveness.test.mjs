// Handles that cannot lie: what every handle answers once its runtime is gone, and what the runtime lets go of.

import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import { test } from 'node:test';

import { Boxlite } from '@boxlite-ai/boxlite';

import { Registry, collectUntil, emptyHome, fails, open } from './helpers.mjs';

/** Every call there is on the handles of a runtime that has an image and a box. */
function calls({ runtime, images, kernels, box }) {
  const ofRuntime = runtime && {
    create: () => runtime.create({ image: 'localhost/app:1' }),
    get: () => runtime.get('one'),
    getInfo: () => runtime.getInfo('one'),
    getOrCreate: () => runtime.getOrCreate({ image: 'localhost/app:1' }, 'one'),
    listInfo: () => runtime.listInfo(),
    remove: () => runtime.remove('one'),
    usage: () => runtime.usage(),
    check: () => runtime.check(),
    prepare: () => runtime.prepare(),
    doctor: () => runtime.doctor(),
    metrics: () => runtime.metrics(),
    events: async () => runtime.events().next(),
  };
  const ofImages = images && {
    pull: () => images.pull('localhost/app:1'),
    list: () => images.list(),
    get: () => images.get('localhost/app:1'),
    inspect: () => images.inspect('localhost/app:1'),
    tag: () => images.tag('localhost/app:1', 'localhost/other:1'),
    removeImage: () => images.remove('localhost/app:1'),
    exportErofs: () => images.exportErofs('localhost/app:1', '/dev/null/none'),
  };
  const ofKernels = kernels && {
    listKernels: () => kernels.list(),
    installKernel: () => kernels.install({ package: '/dev/null' }),
  };
  const ofBox = box && {
    info: () => box.info(),
    start: () => box.start(),
    startAttached: () => box.startAttached(),
    attach: () => box.attach(),
    detach: () => box.detach(),
    stop: () => box.stop(),
    restart: () => box.restart(),
    kill: () => box.kill(),
    signal: () => box.signal(15),
    wait: () => box.wait(),
    exec: () => box.exec('true'),
    copyIn: () => box.copyIn('/dev/null', '/tmp'),
    copyOut: () => box.copyOut('/tmp', '/dev/null/none'),
    putArchive: () => box.putArchive('/tmp', Buffer.alloc(0)),
    getArchive: () => box.getArchive('/tmp'),
    stat: () => box.stat('/tmp'),
    boxMetrics: () => box.metrics(),
    logs: () => box.logs(),
    removeBox: () => box.remove(),
  };
  return Object.entries({ ...ofRuntime, ...ofImages, ...ofKernels, ...ofBox });
}

async function all(handles, code) {
  for (const [name, call] of calls(handles)) {
    await fails(call(), code).catch((error) => {
      throw new Error(`${name}: ${error.message}`);
    });
  }
}

/** A runtime with an image and a box, and everything that can be held of it. */
async function world(test, options = emptyHome(test)) {
  const registry = await Registry.start(test);
  const { reference } = await registry.push('app:1');
  const runtime = await Boxlite.open(options);
  test.after(() => runtime.close());
  await runtime.images.pull(reference);
  await runtime.images.tag(reference, 'localhost/app:1');
  const box = await runtime.create({ image: 'localhost/app:1' }, 'one');
  return { runtime, images: runtime.images, kernels: runtime.kernels, box, registry, options };
}

test('the table of calls has every method of the handles', async (t) => {
  const { runtime, images, kernels, box } = await world(t);
  const apart = { Boxlite: ['constructor', 'shutdown', 'close'], Images: ['constructor', 'close'] };
  const named = new Set(calls({ runtime, images, kernels, box }).map(([name]) => name));
  for (const handle of [runtime, images, kernels, box]) {
    const type = handle.constructor.name;
    for (const method of Object.getOwnPropertyNames(Object.getPrototypeOf(handle))) {
      const known = [method, `${method}Image`, `${method}Kernel`, `${method}Kernels`, `${method}Box`];
      known.push(`box${method[0].toUpperCase()}${method.slice(1)}`);
      const ok = (apart[type] ?? ['constructor', 'close']).includes(method) || known.some((name) => named.has(name));
      assert.ok(ok, `${type}.${method}`);
    }
  }
});

for (const [how, end] of Object.entries({
  shutdown: (runtime) => runtime.shutdown(),
  close: (runtime) => runtime.close(),
  dispose: (runtime) => runtime[Symbol.asyncDispose](),
})) {
  test(`after ${how} every call on every handle answers Stopped`, async (t) => {
    const handles = await world(t);
    await end(handles.runtime);
    await all(handles, 'Stopped');
    // Again, and in the other ways: nothing happens.
    await handles.runtime.shutdown();
    await handles.runtime.close();
    await handles.runtime[Symbol.asyncDispose]();
    // A closed handle of a dead runtime is dead first.
    handles.images.close();
    handles.box.close();
    await all(handles, 'Stopped');
  });
}

test('from the call of shutdown on, before it is over, everything is refused', async (t) => {
  const handles = await world(t);
  const over = handles.runtime.shutdown();
  const refused = all(handles, 'Stopped');
  await over;
  await refused;
});

test('when the runtime is garbage, every call on the handles that are left answers Stopped', async (t) => {
  const options = emptyHome(t);
  const handles = await (async () => {
    const registry = await Registry.start(t);
    const { reference } = await registry.push('app:1');
    const runtime = await Boxlite.open(options);
    await runtime.images.pull(reference);
    const box = await runtime.create({ image: reference }, 'one');
    return { images: runtime.images, kernels: runtime.kernels, box };
  })();
  let stopped = false;
  await collectUntil(() => {
    handles.images.list().catch((error) => (stopped = error.code === 'Stopped'));
    return stopped;
  });
  await all(handles, 'Stopped');
  const again = await Boxlite.open(options);
  assert.equal((await again.images.list()).length, 1);
  await again.shutdown();
});

test('a pull whose runtime becomes garbage ends with Stopped, once', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  await registry.rule({ on: 'manifests', faults: [{ hold_head: 'held' }] });
  const options = emptyHome(t);
  let code;
  const begin = async () => {
    const runtime = await Boxlite.open(options);
    runtime.images.pull(reference).catch((error) => (code = error.code));
  };
  await begin();
  await registry.reached('held');
  await collectUntil(() => code !== undefined);
  assert.equal(code, 'Stopped');
});

test('a call on the runtime itself keeps it from being garbage', async (t) => {
  const begin = async () => {
    const runtime = await Boxlite.open(emptyHome(t));
    return runtime.check();
  };
  const checked = begin();
  globalThis.gc();
  assert.deepEqual((await checked).findings, []);
});

test('a closed handle of a live runtime answers InvalidState', async (t) => {
  const { runtime, images, box } = await world(t);
  box.close();
  box.close();
  await all({ box }, 'InvalidState');
  const same = await runtime.get('one');
  assert.equal((await same.info()).name, 'one');
  images.close();
  images.close();
  assert.match((await fails(images.list(), 'InvalidState')).message, /image handle is closed/);
  await all({ images }, 'InvalidState');
  assert.equal((await runtime.listInfo()).length, 1);
});

test('the home is opened again at once, with the old handles held', async (t) => {
  const { options, ...old } = await world(t);
  for (let round = 0; round < 5; round += 1) {
    await old.runtime.shutdown();
    const runtime = await Boxlite.open(options);
    assert.equal((await runtime.images.list()).length, 2);
    assert.equal((await runtime.listInfo()).length, 1);
    await all(old, 'Stopped');
    Object.assign(old, { runtime, images: runtime.images, kernels: runtime.kernels, box: await runtime.get('one') });
  }
  await old.runtime.shutdown();
});

test('the home is deleted at once, with the old handles held', async (t) => {
  const { options, ...old } = await world(t);
  await old.runtime.shutdown();
  rmSync(options.homeDir, { recursive: true });
  await all(old, 'Stopped');
  assert.ok(!existsSync(options.homeDir), 'nothing comes back');
});

test('closing at the same time in every way ends once for all', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  await registry.rule({ on: 'manifests', faults: [{ hold_head: 'held' }] });
  const runtime = await open(t);
  const pull = fails(runtime.images.pull(reference), 'Stopped');
  await registry.reached('held');
  let pulled = false;
  pull.then(() => (pulled = true));
  const ways = [runtime.shutdown(), runtime.close(), runtime[Symbol.asyncDispose](), runtime.shutdown(5)];
  await Promise.race(ways);
  assert.ok(pulled, 'the pull had ended before');
  await Promise.all(ways);
  await pull;
});

test('events end with the runtime', async (t) => {
  const { runtime, box } = await world(t);
  const events = runtime.events();
  const first = events.next();
  await runtime.remove('one');
  assert.deepEqual((await first).value, { type: 'box_removed', id: box.id });
  const last = events.next();
  await runtime.shutdown();
  assert.equal((await last).done, true);
});

test('two runtimes of one home see each other', async (t) => {
  const { runtime, options, box } = await world(t);
  const other = await Boxlite.open(options);
  assert.equal((await other.get('one')).id, box.id);
  await other.remove('one');
  await fails(box.info(), 'NotFound');
  assert.equal(await runtime.get('one'), null);
  await other.shutdown();
  assert.equal((await runtime.images.list()).length, 2);
});

test('the default runtime is one as long as it is open', async (t) => {
  Boxlite.initDefault(emptyHome(t));
  const runtime = Boxlite.withDefaultConfig();
  assert.equal(Boxlite.withDefaultConfig(), runtime);
  assert.throws(() => Boxlite.initDefault(emptyHome(t)), { code: 'InvalidState' });
  await runtime.shutdown();
  Boxlite.initDefault(emptyHome(t));
  assert.notEqual(Boxlite.withDefaultConfig(), runtime);
  await Boxlite.withDefaultConfig().shutdown();
});
