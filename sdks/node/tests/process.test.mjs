// The package and its process: what keeps Node running, exits of every kind, worker threads.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

import { Boxlite } from '@boxlite-ai/boxlite';

import { Registry, emptyHome, fails } from './helpers.mjs';

/** Runs a program with `Boxlite` and `options` in scope. Returns how it ended and what it printed. */
async function run(program, options, ...arguments_) {
  const source = `
    import { Boxlite } from '@boxlite-ai/boxlite';
    const [options, ...rest] = process.argv.slice(1).map((text) => JSON.parse(text));
    ${program}
  `;
  const texts = [options, ...arguments_].map((value) => JSON.stringify(value));
  const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '--eval', source, ...texts], {
    cwd: import.meta.dirname,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const printed = { stdout: '', stderr: '' };
  child.stdout.on('data', (bytes) => (printed.stdout += bytes));
  child.stderr.on('data', (bytes) => (printed.stderr += bytes));
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, ...printed }));
  return { child, ended };
}

async function succeeds(program, options, ...rest) {
  const { ended } = await run(program, options, ...rest);
  const { code, signal, stdout, stderr } = await ended;
  assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' }, stdout);
  return stdout;
}

/** What a program left behind is nothing that the next one minds. */
async function sound(options, images) {
  const runtime = await Boxlite.open(options);
  assert.equal((await runtime.images.list()).length, images);
  assert.deepEqual((await runtime.check()).findings, []);
  await runtime.shutdown();
}

test('handles do not keep Node running', async (t) => {
  const options = emptyHome(t);
  const program = `
    const runtime = await Boxlite.open(options);
    globalThis.held = [runtime, runtime.images, runtime.events()];
    console.log((await runtime.images.list()).length);
  `;
  assert.equal(await succeeds(program, options), '0\n');
  await sound(options, 0);
});

test('a call that is under way does', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  const program = `
    const runtime = new Boxlite(options);
    runtime.images.pull(rest[0]).then((image) => console.log(image.reference));
  `;
  const options = emptyHome(t);
  assert.equal(await succeeds(program, options, reference), `${reference}\n`);
  await sound(options, 1);
});

test('an archive that is refused before it is sent does not either', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  const program = `
    const runtime = await Boxlite.open(options);
    await runtime.images.pull(rest[0]);
    const box = await runtime.create({ image: rest[0] });
    const put = (directory) => box.putArchive(directory, Buffer.alloc(1_000_000)).catch(({ code }) => console.log(code));
    await put(7);
    box.close();
    await put('/tmp');
  `;
  assert.equal(await succeeds(program, emptyHome(t), reference), 'InvalidArgument\nInvalidState\n');
});

test('`process.exit` in the middle of pulls leaves a home that is sound', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  await registry.rule({ on: 'blobs', first: 2, faults: [{ hold_after: [10, 'held'] }] });
  const options = emptyHome(t);
  const program = `
    const runtime = new Boxlite(options);
    const other = new Boxlite(options);
    other.images.list();
    runtime.images.pull(rest[0]).catch(() => console.log('never'));
    process.stdin.once('data', () => process.exit(0));
  `;
  const { child, ended } = await run(program, options, reference);
  await registry.reached('held');
  child.stdin.write('go\n');
  assert.deepEqual(await ended, { code: 0, signal: null, stdout: '', stderr: '' });
  await registry.release('held');
  await sound(options, 0);
});

test('an uncaught exception in the middle of a pull is what it is: status 1, and a sound home', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  await registry.rule({ on: 'blobs', first: 2, faults: [{ hold_after: [10, 'held'] }] });
  const options = emptyHome(t);
  const program = `
    new Boxlite(options).images.pull(rest[0]);
    process.stdin.once('data', () => { throw new Error('oh'); });
  `;
  const { child, ended } = await run(program, options, reference);
  await registry.reached('held');
  child.stdin.write('go\n');
  const { code, signal } = await ended;
  assert.deepEqual([code, signal], [1, null]);
  await registry.release('held');
  await sound(options, 0);
});

test('SIGKILL in the middle of a pull leaves a home that is sound', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  await registry.rule({ on: 'blobs', first: 2, faults: [{ hold_after: [10, 'held'] }] });
  const options = emptyHome(t);
  const { child, ended } = await run('new Boxlite(options).images.pull(rest[0]);', options, reference);
  await registry.reached('held');
  child.kill('SIGKILL');
  assert.equal((await ended).signal, 'SIGKILL');
  await registry.release('held');
  await sound(options, 0);
});

test('a rejection that nobody handles is not lost', async (t) => {
  const { ended } = await run("new Boxlite(options).images.get('localhost/none:1');", emptyHome(t));
  const { code, stderr } = await ended;
  assert.equal(code, 1);
  assert.match(stderr, /NotFoundError/);
});

const WORKER = `
  import { parentPort, workerData } from 'node:worker_threads';
  import { Boxlite } from '@boxlite-ai/boxlite';
  const runtime = await Boxlite.open(workerData.options);
  const outcome = (promise) => promise.then((value) => value.reference ?? 'ok', (error) => error.code);
  const steps = {
    pull: () => outcome(runtime.images.pull(workerData.reference)),
    list: () => runtime.images.list().then((all) => all.length),
    hammer: async () => {
      const outcomes = new Set();
      for (let number = 0; number < 200; number += 1) {
        outcomes.add(await outcome(runtime.images.list().then(() => ({}))));
        if (number === 100) {
          runtime.close();
        }
      }
      return [...outcomes];
    },
  };
  parentPort.on('message', async (step) => parentPort.postMessage(await steps[step]()));
  parentPort.postMessage('ready');
`;

async function worker(t, workerData) {
  // A module from a data URL has no place of its own to look for packages from.
  const source = WORKER.replace("'@boxlite-ai/boxlite'", JSON.stringify(import.meta.resolve('@boxlite-ai/boxlite')));
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { workerData });
  t.after(() => thread.terminate());
  await once(thread, 'message');
  return {
    thread,
    ask: async (step) => {
      thread.postMessage(step);
      const [answer] = await once(thread, 'message');
      return answer;
    },
  };
}

test('worker threads use one home together, next to the main thread', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  const options = emptyHome(t);
  const workers = await Promise.all([1, 2].map(() => worker(t, { options, reference })));
  const runtime = await Boxlite.open(options);
  const pulled = await Promise.all([...workers.map(({ ask }) => ask('pull')), runtime.images.pull(reference)]);
  assert.deepEqual([pulled[0], pulled[1], pulled[2].reference], [reference, reference, reference]);
  assert.deepEqual(await Promise.all(workers.map(({ ask }) => ask('list'))), [1, 1]);
  await runtime.shutdown();
  assert.equal(await workers[0].ask('list'), 1, 'their runtimes are their own');
  await Promise.all(workers.map(({ thread }) => thread.terminate()));
  await sound(options, 1);
});

test('a thread that is terminated in the middle of a pull takes its runtime with it, and nothing else', async (t) => {
  const registry = await Registry.start(t);
  const [held, free] = [await registry.push('held:1'), await registry.push('free:1')];
  const options = emptyHome(t);
  const runtime = await Boxlite.open(options);
  await registry.rule({ on: { manifest: '1' }, faults: [{ hold_head: 'gate' }] });
  const { thread, ask } = await worker(t, { options, reference: held.reference });
  void ask('pull');
  await registry.reached('gate');
  await thread.terminate();
  await registry.abandoned('gate');
  await registry.heal();
  assert.equal((await runtime.images.pull(free.reference)).reference, free.reference);
  assert.deepEqual((await runtime.check()).findings, []);
  await runtime.shutdown();
  await sound(options, 1);
});

test('threads that use and close their runtimes at the same time get answers, and nothing but', async (t) => {
  const registry = await Registry.start(t);
  const { reference } = await registry.push('app:1');
  const options = emptyHome(t);
  const workers = await Promise.all(Array.from({ length: 4 }, () => worker(t, { options, reference })));
  const answers = await Promise.all(workers.map(({ ask }) => ask('hammer')));
  for (const outcomes of answers) {
    assert.deepEqual(outcomes, ['ok', 'Stopped']);
  }
  const last = await Boxlite.open(options);
  await last.shutdown();
  await fails(last.images.list(), 'Stopped');
});
