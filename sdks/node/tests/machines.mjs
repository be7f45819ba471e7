// Boxes for the tests that need real ones: one shared home, small machines in software emulation.

import assert from 'node:assert/strict';

import { Boxlite } from '@boxlite-ai/boxlite';

import { Registry } from './helpers.mjs';

/** A name for the image that stays the same, however the port of the registry changes. */
export const IMAGE = 'localhost/boxlite-node-test:busybox';

/** A small machine. */
export const MACHINE = { image: IMAGE, memoryMib: 256 };

/** A runtime over the shared home, with the image. */
export async function openMachines(test) {
  const homeDir = process.env.BOXLITE_TEST_HOME;
  assert.ok(homeDir, 'BOXLITE_TEST_HOME names no home; run the tests by `test.sh`');
  const runtime = await Boxlite.open({ homeDir, accelerator: 'tcg' });
  test.after(() => runtime.shutdown(30));
  try {
    await runtime.images.get(IMAGE);
  } catch {
    const registry = await Registry.start(test);
    const { reference } = await registry.push('busybox:1', { base: 'busybox' });
    await runtime.images.pull(reference);
    await runtime.images.tag(reference, IMAGE);
  }
  return runtime;
}

/** A box that runs, removed after the test. */
export async function running(test, options = {}) {
  const runtime = await openMachines(test);
  const box = await runtime.create({ ...MACHINE, autoRemove: true, ...options });
  await box.start();
  return box;
}

/** Runs a script in a box to its end. */
export async function shell(box, script) {
  const execution = await box.exec({ argv: ['sh', '-c', script], stdin: false });
  const { stdout, stderr, exitCode } = await execution.output();
  assert.equal(exitCode, 0, `${script}: ${stderr}`);
  return { stdout: stdout.toString(), exitCode };
}

/** Returns whether `sleep SECONDS` runs in a box. */
export async function sleeps(box, seconds) {
  const lines = 'for file in /proc/[0-9]*/cmdline; do tr "\\0" " " < $file; echo; done 2> /dev/null';
  const { stdout } = await shell(box, `(${lines}) | grep -c "^sleep ${seconds}" || true`);
  return stdout !== '0\n';
}
