// The simple classes: boxes that are there when they are used, and gone afterwards.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { BoxliteError, CodeBox, ExecError, InteractiveBox, ParseError, SimpleBox } from '@boxlite-ai/boxlite';

import { Registry, directory, fails } from './helpers.mjs';
import { MACHINE, openMachines } from './machines.mjs';

const missing = async (runtime, id) => assert.equal(await runtime.getInfo(id), null);

test('a simple box is made by the first call, and gone when it stops', async (t) => {
  const runtime = await openMachines(t);
  const box = new SimpleBox({ ...MACHINE, runtime, env: { A: 'b' }, workingDir: '/tmp' });
  assert.deepEqual([box.created, box.name], [null, undefined]);
  assert.throws(() => box.id, { code: 'InvalidState' });
  await box.stop();
  const [first, second] = await Promise.all([box.exec('echo', 'one', 'two'), box.exec('sh', ['-c', 'echo $A $B; pwd; exit 4'], { B: 'c' })]);
  assert.deepEqual(first, { exitCode: 0, stdout: 'one two\n', stderr: '' });
  assert.deepEqual(second, { exitCode: 4, stdout: 'b c\n/tmp\n', stderr: '' });
  assert.deepEqual([box.created, await box.getId()], [true, box.id]);
  assert.equal((await box.getInfo()).state.running, true);
  assert.ok((await box.metrics()).memoryTotalBytes > 0);
  const { stdout } = await box.exec('sh', ['-c', 'pwd; id -u'], undefined, { cwd: '/var', user: '65534' });
  assert.equal(stdout, '/var\n65534\n');
  const slow = await fails(box.exec('sleep', ['1000'], {}, { timeoutSecs: 0.05 }), 'Timeout');
  assert.equal(slow.name, 'TimeoutError');
  await fails(box.exec('sleep', ['1000'], {}, { signal: AbortSignal.abort() }), 'Cancelled');
  const { id } = box;
  await box.stop();
  await missing(runtime, id);
  assert.equal((await box.exec('echo', 'again')).stdout, 'again\n', 'it is made anew');
  await box.stop();
});

test('files go into a simple box and come back', async (t) => {
  const runtime = await openMachines(t);
  const box = new SimpleBox({ ...MACHINE, runtime });
  t.after(() => box[Symbol.asyncDispose]());
  const host = directory(t);
  writeFileSync(join(host, 'file'), 'content');
  await box.copyIn(join(host, 'file'), '/etc/');
  await box.copyOut('/etc/file', join(host, 'back'));
  assert.equal((await box.exec('cat', '/etc/file')).stdout, 'content');
});

test('a named box that exists is used only if that is wanted', async (t) => {
  const runtime = await openMachines(t);
  const name = `node-${process.pid}-simple`;
  const first = new SimpleBox({ ...MACHINE, runtime, name, autoRemove: false });
  t.after(() => runtime.remove(name, true).catch(() => {}));
  await first.exec('sh', ['-c', 'echo kept > /kept']);
  await first.stop();
  assert.equal((await runtime.getInfo(name)).state.status, 'stopped');
  await fails(new SimpleBox({ ...MACHINE, runtime, name }).exec('true'), 'AlreadyExists');
  const second = new SimpleBox({ ...MACHINE, runtime, name, autoRemove: false, reuseExisting: true });
  assert.equal((await second.exec('cat', '/kept')).stdout, 'kept\n');
  assert.equal(second.created, false);
  await second[Symbol.asyncDispose]();
});

test('a simple box that does not start leaves nothing behind', async (t) => {
  const runtime = await openMachines(t);
  const name = `node-${process.pid}-broken`;
  t.after(() => runtime.remove(name, true).catch(() => {}));
  const box = new SimpleBox({ ...MACHINE, runtime, name, cmd: ['/no/such/program'], autoRemove: undefined });
  for (let round = 0; round < 2; round += 1) {
    await fails(box.exec('true'), 'NotFound');
    await missing(runtime, name);
  }
  await box.stop();
});

test('an option that is undefined is the default', async (t) => {
  const runtime = await openMachines(t);
  const box = new SimpleBox({ ...MACHINE, runtime, autoRemove: undefined });
  const id = await box.getId();
  await box.stop();
  await missing(runtime, id);
});

test('an image that is not held is pulled; what fails can be tried again', async (t) => {
  const registry = await Registry.start(t);
  const runtime = await openMachines(t);
  const image = `${registry.host}/simple-${process.pid}:1`;
  const box = new SimpleBox({ image, memoryMib: 256, runtime });
  t.after(() => box[Symbol.asyncDispose]());
  await fails(box.exec('true'), 'NotFound');
  await registry.push(`simple-${process.pid}:1`, { base: 'busybox' });
  assert.equal((await box.exec('true')).exitCode, 0);
  await box.stop();
  await runtime.images.remove(image);
});

test('who gives up waiting for a simple box takes nobody else along', async (t) => {
  const registry = await Registry.start(t);
  const runtime = await openMachines(t);
  const { reference } = await registry.push(`shared-${process.pid}:1`, { base: 'busybox' });
  await registry.rule({ on: 'manifests', first: 1, faults: [{ hold_head: 'held' }] });
  const box = new SimpleBox({ image: reference, memoryMib: 256, runtime });
  t.after(() => box[Symbol.asyncDispose]());
  const abort = new AbortController();
  const first = box.exec('true', [], {}, { signal: abort.signal });
  const second = box.exec('echo', 'second');
  await registry.reached('held');
  const hurried = new AbortController();
  const third = box.exec('true', [], {}, { signal: hurried.signal });
  hurried.abort();
  await fails(third, 'Cancelled');
  abort.abort();
  await fails(first, 'Cancelled');
  assert.equal((await second).stdout, 'second\n');
  await box.stop();
  await runtime.images.remove(reference);
});

test('a simple box that is disposed of after its runtime is no error', async (t) => {
  const runtime = await openMachines(t);
  const box = new SimpleBox({ ...MACHINE, runtime });
  await box.exec('true');
  await runtime.shutdown(30);
  await fails(box.exec('true'), 'Stopped');
  await box[Symbol.asyncDispose]();
});

test('a code box runs Python, and says why it did not', async (t) => {
  const registry = await Registry.start(t);
  // Enough of Python for what is asked here: its code is that of a shell.
  const python = '#!/bin/sh\ncase "$1 $2" in "- ") exec sh;; "-m pip") shift 3; echo "installed $*";; esac\n';
  await registry.push('python:slim', { base: 'busybox', layers: [{ files: { 'usr/bin/python3': python } }] });
  const runtime = await openMachines(t);
  const image = `${registry.host}/python:slim`;
  const box = new CodeBox({ image, memoryMib: 256, runtime });
  t.after(() => box[Symbol.asyncDispose]());
  assert.equal(await box.run('echo 1'), '1\n');
  const script = join(directory(t), 'script.py');
  writeFileSync(script, 'echo 2');
  assert.equal(await box.runScript(script), '2\n');
  // More than an argument may be, printing more than fits anywhere before it is read to its end.
  const line = `echo ${'x'.repeat(990)}\n`;
  assert.equal((await box.run(line.repeat(400))).length, 991 * 400);
  assert.equal(await box.run(`exit 0\n${line.repeat(1000)}`), '', 'the rest need not be read');
  assert.equal(await box.installPackage('a==1'), 'installed a==1\n');
  assert.equal(await box.installPackages('a', 'b'), 'installed a b\n');
  const error = await fails(box.run('echo why >&2; exit 3'), 'Execution');
  assert.ok(error instanceof ExecError && error instanceof BoxliteError);
  assert.deepEqual([error.command, error.exitCode, error.stderr, error.name], ['python3', 3, 'why\n', 'ExecError']);
  assert.ok(new ParseError('text') instanceof BoxliteError);
  await box.stop();
  await runtime.images.remove(image);
});

test('an interactive box has a shell on a terminal', async (t) => {
  const runtime = await openMachines(t);
  const box = new InteractiveBox({ ...MACHINE, runtime, tty: false });
  t.after(() => box[Symbol.asyncDispose]());
  assert.throws(() => box.execution, { code: 'InvalidState' });
  await box.start();
  await fails(box.start(), 'InvalidState');
  await box.execution.stdin().write('tty; exit 3\n');
  let text = '';
  for await (const bytes of box.execution.stdout()) {
    text += bytes;
  }
  assert.match(text, /\/dev\/(pts\/|tty|console)/);
  await box.wait();
  await box.stop();
});
