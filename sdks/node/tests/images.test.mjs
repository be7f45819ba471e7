// The image handle: what it does, and how it fails.

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Boxlite, BoxliteError, ErrorClass, ErrorNumber, NetworkError, NotFoundError } from '@boxlite-ai/boxlite';

import { Registry, directory, emptyHome, fails, open } from './helpers.mjs';

test('an image is pulled, found, renamed, exported and removed', async (t) => {
  const registry = await Registry.start(t);
  const pushed = await registry.push('app:1');
  const runtime = await open(t);
  const pulled = await runtime.images.pull(pushed.reference);
  assert.deepEqual(
    [pulled.reference, pulled.id, pulled.configDigest, pulled.layerCount, pulled.cached],
    [pushed.reference, pushed.id, pushed.config_digest, 1, false],
  );
  assert.ok(pulled.bytesFetched > 0);
  assert.match(pulled.platform, /^linux\//);
  assert.equal((await runtime.images.pull(pushed.reference)).cached, true);

  const [listed, ...others] = await runtime.images.list();
  assert.deepEqual(others, []);
  assert.deepEqual(
    [listed.reference, listed.repository, listed.tag, listed.id],
    [pushed.reference, `${registry.host}/app`, '1', pushed.id],
  );
  assert.ok(listed.sizeBytes > 0);
  assert.ok(Math.abs(Date.parse(listed.cachedAt) - Date.now()) < 60_000, listed.cachedAt);
  assert.deepEqual(await runtime.images.get(pushed.reference), listed);

  const named = await runtime.images.tag(pushed.id, 'localhost/mine:2');
  assert.deepEqual([named.reference, named.id], ['localhost/mine:2', pushed.id]);
  const details = await runtime.images.inspect('localhost/mine:2');
  assert.deepEqual(details.references.sort(), [pushed.reference, 'localhost/mine:2'].sort());
  assert.deepEqual(
    details.layers.map((layer) => layer.digest),
    pushed.layers,
  );

  const file = join(directory(t), 'root.erofs');
  await runtime.images.exportErofs(pushed.reference, file);
  assert.ok(statSync(file).size > 0);

  assert.deepEqual((await runtime.images.remove('localhost/mine:2')).deleted, []);
  const removed = await runtime.images.remove(pushed.reference, { force: true });
  assert.deepEqual([removed.untagged, removed.deleted], [[pushed.reference], [pushed.id]]);
  assert.deepEqual(await runtime.images.list(), []);
});

test('`runtime.images` is one object, which nothing replaces', async (t) => {
  const runtime = await open(t);
  const { images } = runtime;
  assert.equal(runtime.images, images);
  const property = Object.getOwnPropertyDescriptor(runtime, 'images');
  assert.deepEqual([property.value, property.writable, property.configurable], [images, false, false]);
});

test('what happens during a pull is told before it settles, in order', async (t) => {
  const registry = await Registry.start(t);
  const { reference, id } = await registry.push('app:1');
  const runtime = await open(t);
  const told = [];
  const pull = runtime.images.pull(reference, { onProgress: (event) => told.push(event) });
  const iterated = [];
  for await (const event of pull) {
    iterated.push(event);
  }
  assert.deepEqual(iterated, told);
  assert.equal((await pull).id, id);
  assert.deepEqual(told[0], { type: 'resolving', reference });
  assert.equal(told.at(-1).type, 'done');
  const { id: resolved, layerCount } = told.find(({ type }) => type === 'resolved');
  assert.deepEqual([resolved, layerCount], [id, 1]);
  // What was missed is over.
  for await (const event of pull) {
    assert.fail(JSON.stringify(event));
  }
});

test('an iteration over a pull throws its error; leaving it early does not end the pull', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  const runtime = await open(t);
  const iterate = async (pull) => {
    for await (const event of pull) {
      assert.ok(event.type);
    }
  };
  await fails(iterate(runtime.images.pull(`${registry.host}/none:1`)), 'NotFound');
  const pull = runtime.images.pull(reference);
  for await (const event of pull) {
    assert.equal(event.type, 'resolving');
    break;
  }
  assert.equal((await pull).reference, reference);
});

test('a listener that throws cancels the pull, which is rejected with what it threw', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  await registry.rule({ on: 'blobs', faults: [{ hold_after: [0, 'held'] }] });
  const runtime = await open(t);
  let calls = 0;
  const onProgress = () => {
    calls += 1;
    throw new RangeError('enough');
  };
  await assert.rejects(runtime.images.pull(reference, { onProgress }), new RangeError('enough'));
  assert.equal(calls, 1);
  assert.deepEqual(await runtime.images.list(), []);
});

test('a listener that throws at the last event is not passed over', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  const runtime = await open(t);
  const onProgress = ({ type }) => {
    if (type === 'done') {
      throw new RangeError('too late');
    }
  };
  await assert.rejects(runtime.images.pull(reference, { onProgress }), new RangeError('too late'));
});

test('errors are data: class, code, number, operation, context, hint, cause', async (t) => {
  const registry = await Registry.start(t);
  const runtime = await open(t, { retryAttempts: 1 });
  const reference = `${registry.host}/none:1`;
  const missing = await fails(runtime.images.pull(reference), 'NotFound');
  assert.ok(missing instanceof NotFoundError && missing instanceof Error);
  assert.deepEqual([missing.name, missing.status, missing.operation], ['NotFoundError', 2, 'images.pull']);
  assert.equal(missing.context.reference, reference);
  assert.equal(missing.retryable, false);
  assert.match(missing.stack, /images\.test\.mjs/, 'the stack says who called');
  const refused = await fails(runtime.images.pull('127.0.0.1:1/none:1'), 'Network');
  assert.ok(refused instanceof NetworkError && refused.retryable);
  assert.ok(refused.hint === undefined || refused.hint.length > 0);
  assert.ok(refused.cause === undefined || refused.cause instanceof Error);
});

test('every code has a class of its own, with its number', () => {
  for (const [code, number] of Object.entries(ErrorNumber)) {
    const error = new ErrorClass[code]('text');
    assert.ok(error instanceof BoxliteError);
    assert.deepEqual([error.code, error.status, error.message], [code, number, 'text']);
  }
  assert.equal(new BoxliteError('text').code, 'Internal');
});

test('what is not understood is refused by name, never ignored', async (t) => {
  const runtime = await open(t);
  const cases = [
    [runtime.images.pull('localhost/a:1', { polcy: 'never' }), /`polcy`/],
    [runtime.images.pull('localhost/a:1', { policy: 'nver' }), /`nver`/],
    [runtime.images.pull('localhost/a:1', { onProgress: 'loud' }), /onProgress/],
    [runtime.images.pull('localhost/a:1', { platform: 'amd64' }), /platform `amd64`/],
    [runtime.images.pull(7), /reference/],
    [runtime.images.pull('localhost/a:1', 'always'), /pull options/],
    [runtime.images.list({ signal: {} }), /signal/],
    [runtime.images.pull('localhost/a:1', { signal: {} }), /signal/],
    [runtime.images.pull('localhost/a:1', { signal: {}, onProgress: () => {} }), /signal/],
    [runtime.prepare({ signal: {}, onProgress: () => {} }), /signal/],
    [runtime.images.remove('localhost/a:1', { force: 'yes' }), /force/],
    [Boxlite.open({ ...emptyHome(t), homdir: '/tmp' }), /`homdir`/],
    [Boxlite.open({ ...emptyHome(t), parallelLayers: Number.NaN }), /parallelLayers/],
    [Boxlite.open({ ...emptyHome(t), imageRegistries: [{ host: 'a', auth: { username: 'b' } }] }), /`a`/],
    [Boxlite.open({ ...emptyHome(t), imageRegistries: [{ host: 'a', verify: () => true }] }), /verify/],
  ];
  for (const [promise, expected] of cases) {
    assert.match((await fails(promise, 'InvalidArgument')).message, expected);
  }
  assert.throws(() => runtime.events({ signal: {} }), { code: 'InvalidArgument' });
  assert.throws(() => new Boxlite({ ...emptyHome(t), homdir: '/tmp' }), { code: 'InvalidArgument' });
});

test('credentials and transport of a registry are used', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  const host = registry.host;
  const auth = { username: 'user', password: 'secret' };
  const runtime = await open(t, { imageRegistries: [{ host, transport: 'http', search: true, auth }] });
  assert.equal((await runtime.images.pull('app:1')).reference, reference);
});
