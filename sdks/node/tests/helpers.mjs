// What the tests share: homes that go again, the lying registry, and what it takes to be hostile.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as turn } from 'node:timers/promises';

import { Boxlite, BoxliteError } from '@boxlite-ai/boxlite';

/** Rounds of the race tests: few, unless somebody has the time. */
export const ROUNDS = Number(process.env.BOXLITE_SOAK_ROUNDS ?? 5);

/** A directory that is removed after the test. */
export function directory(test) {
  const path = mkdtempSync(join(tmpdir(), 'boxlite-node-test-'));
  test.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Options of a runtime with an empty home. */
export function emptyHome(test) {
  return { homeDir: join(directory(test), 'home'), retryDelayMs: 1 };
}

/** A runtime with an empty home, closed after the test. */
export async function open(test, options = {}) {
  const runtime = await Boxlite.open({ ...emptyHome(test), ...options });
  test.after(() => runtime.close());
  return runtime;
}

/** Asserts that a promise is rejected with that code, and returns the error. */
export async function fails(promise, code) {
  const outcome = await Promise.resolve(promise).then(
    (value) => ({ value }),
    (error) => ({ error }),
  );
  assert.ok('error' in outcome, `fulfilled with ${JSON.stringify(outcome.value)} instead of ${code}`);
  assert.ok(outcome.error instanceof BoxliteError, outcome.error?.stack ?? String(outcome.error));
  assert.equal(outcome.error.code, code, outcome.error.stack);
  return outcome.error;
}

/** Lets the event loop turn until something is true. */
export async function until(isTrue) {
  while (!(await isTrue())) {
    await turn();
  }
}

/** Collects garbage until something is true. Needs `--expose-gc`. */
export async function collectUntil(isTrue) {
  await until(() => {
    globalThis.gc();
    return isTrue();
  });
}

/** The registry of the test kit. */
export class Registry {
  #process;
  #lines;
  #waiting = new Map();
  #last = 0;

  static async start(test) {
    const registry = new Registry();
    const program = process.env.BOXLITE_TESTKIT_REGISTRY;
    assert.ok(program, 'BOXLITE_TESTKIT_REGISTRY names no program; run the tests by `test.sh`');
    registry.#process = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
    registry.#lines = createInterface({ input: registry.#process.stdout });
    const [first] = await once(registry.#lines, 'line');
    registry.host = JSON.parse(first).host;
    registry.#lines.on('line', (line) => {
      const { id, ok, error } = JSON.parse(line);
      const { resolve, reject } = registry.#waiting.get(id);
      registry.#waiting.delete(id);
      error === undefined ? resolve(ok) : reject(new Error(error));
    });
    test.after(() => registry.#process.stdin.end());
    return registry;
  }

  #ask(op, fields = {}) {
    const id = ++this.#last;
    this.#process.stdin.write(`${JSON.stringify({ id, op, ...fields })}\n`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  /** Pushes an image; returns `{reference, id, layers, ...}`. */
  push(name, image = { layers: [{ files: { 'etc/motd': `hello from ${name}\n` } }] }) {
    return this.#ask('push', { name, image });
  }

  rule(rule) {
    return this.#ask('rule', { rule });
  }

  heal() {
    return this.#ask('heal');
  }

  reached(gate, count = 1) {
    return this.#ask('gate_reached', { gate, count });
  }

  abandoned(gate) {
    return this.#ask('gate_abandoned', { gate });
  }

  release(gate) {
    return this.#ask('gate_open', { gate });
  }

  requests(target) {
    return this.#ask('requests', { target });
  }
}
