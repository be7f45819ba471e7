// Pulls an image from a registry on loopback and runs a command of it in a box: what a package that works can do.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { Boxlite, SimpleBox } from '@boxlite-ai/boxlite';

const [program, homeDir] = process.argv.slice(2);
const registry = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
const lines = createInterface({ input: registry.stdout })[Symbol.asyncIterator]();
await lines.next();
registry.stdin.write(`${JSON.stringify({ id: 1, op: 'push', name: 'busybox:1', image: { base: 'busybox' } })}\n`);
const { reference } = JSON.parse((await lines.next()).value).ok;

const runtime = await Boxlite.open({ homeDir });
const box = new SimpleBox({ image: reference, memoryMib: 256, runtime });
const result = await box.exec('uname', '-s');
await box.stop();
await runtime.images.remove(reference);
await runtime.shutdown();
registry.stdin.end();
assert.deepEqual(result, { exitCode: 0, stdout: 'Linux\n', stderr: '' });
