// What the way from Node into the library and back costs.
//
// Each figure is the best of several rounds, next to what it is compared with.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Boxlite } from '@boxlite-ai/boxlite';

import { MACHINE, openMachines } from './machines.mjs';

const ROUNDS = 5;
const STREAM_BYTES = 256 << 20;

function line(what, value, against = '') {
  console.log(`${what.padEnd(60)}${value.padStart(14)}  ${against}`);
}

const nanoseconds = (start) => Number(process.hrtime.bigint() - start);

/** Nanoseconds one call takes, the best round counting. */
async function best(times, call) {
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = process.hrtime.bigint();
    await call(times);
    least = Math.min(least, nanoseconds(start) / times);
  }
  return least;
}

function accesses(object) {
  return (times) => {
    let seen = 0;
    for (let number = 0; number < times; number += 1) {
      seen += object.images === undefined ? 0 : 1;
    }
    return seen;
  };
}

async function handles(runtime) {
  const own = await best(50_000_000, accesses(runtime));
  const plain = await best(50_000_000, accesses(Object.freeze({ images: runtime.images })));
  line('`runtime.images`', `${own.toFixed(2)} ns`, `a property of a plain object: ${plain.toFixed(2)} ns`);
}

async function calls(runtime) {
  const sequential = (call) => async (times) => {
    for (let number = 0; number < times; number += 1) {
      await call();
    }
  };
  const dummy = async () => {};
  const immediate = () => new Promise((resolve) => setImmediate(resolve));
  const turn = await best(20_000, sequential(immediate));
  const nothing = await best(100_000, sequential(dummy));
  const list = await best(5_000, sequential(() => runtime.images.list()));
  const abort = new AbortController();
  const signalled = await best(5_000, sequential(() => runtime.images.list({ signal: abort.signal })));
  const many = await best(5_000, (times) => Promise.all(Array.from({ length: times }, () => runtime.images.list())));
  const micros = (value) => `${(value / 1000).toFixed(1)} us`;
  line('`await images.list()` of an empty store', micros(list), `a turn of the event loop: ${micros(turn)}`);
  line('the same with a signal', micros(signalled), `awaiting nothing: ${micros(nothing)}`);
  line('the same, thousands at once', micros(many));
}

async function streams(test) {
  const runtime = await openMachines(test);
  const box = await runtime.create({ ...MACHINE, autoRemove: true });
  await box.start();
  const command = ['dd', 'if=/dev/zero', 'bs=65536', `count=${STREAM_BYTES >> 16}`];
  let rate = 0;
  let pieces = 0;
  let grown = 0;
  for (let round = 0; round < 3; round += 1) {
    const execution = await box.exec({ argv: command, stdin: false });
    globalThis.gc();
    const before = process.memoryUsage.rss();
    const start = process.hrtime.bigint();
    let received = 0;
    pieces = 0;
    for await (const bytes of execution.stdout()) {
      received += bytes.length;
      pieces += 1;
    }
    rate = Math.max(rate, (received * 1000) / nanoseconds(start));
    grown = Math.max(grown, process.memoryUsage.rss() - before);
    await execution.wait();
  }
  const kib = Math.round(STREAM_BYTES / pieces / 1024);
  line('stdout of a box', `${rate.toFixed(0)} MB/s`, `in pieces of ${kib} KiB, ${grown >> 20} MiB of memory more`);
  const times = [];
  for (let round = 0; round < 20; round += 1) {
    const start = process.hrtime.bigint();
    await (await box.exec({ argv: ['true'], stdin: false })).wait();
    times.push(nanoseconds(start));
  }
  line('a command, from call to end', `${(Math.min(...times) / 1e6).toFixed(1)} ms`);
  await box.stop();
}

const afterwards = [];
const test = { after: (step) => afterwards.unshift(step) };
const home = mkdtempSync(join(tmpdir(), 'boxlite-node-bench-'));
const runtime = await Boxlite.open({ homeDir: home });
await handles(runtime);
await calls(runtime);
await runtime.shutdown();
rmSync(home, { recursive: true });
await streams(test);
for (const step of afterwards) {
  await step();
}
