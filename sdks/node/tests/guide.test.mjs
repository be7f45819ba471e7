// docs/node.md and the README: every block of code on them is executed.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';

import * as package_ from '@boxlite-ai/boxlite';

import { Registry, directory } from './helpers.mjs';

const require = createRequire(import.meta.url);
const typescript = require(join(process.env.BOXLITE_NODE_TOOLS, 'node_modules/typescript'));

/** The blocks of a page, made into one program: all imports first, then everything else in order. */
function program(page, change) {
  const blocks = [...page.matchAll(/^```(?:ts|js)\n(.*?)^```$/gms)].map(([, block]) => block);
  assert.ok(blocks.length > 0);
  const imports = new Map();
  const rest = blocks.join('\n').replace(/^import \{(.*?)\} from '(.*?)';$/gm, (_, names, from) => {
    const known = imports.get(from) ?? new Set();
    names.split(',').forEach((name) => known.add(name.trim()));
    imports.set(from, known);
    return '';
  });
  const header = [...imports].map(([from, names]) => `const { ${[...names].join(', ')} } = require('${from}');`);
  const body = `${header.join('\n')}\nreturn (async () => {\n${change(rest)}\n})();`;
  const { outputText } = typescript.transpileModule(body, {
    compilerOptions: { target: 'es2022', module: 'commonjs' },
    reportDiagnostics: true,
  });
  return outputText;
}

/** Runs a page in a home that has a kernel; returns what it printed, and what went into `sink`. */
async function follow(t, page) {
  const registry = await Registry.start(t);
  await registry.push('debian:12-slim', { base: 'busybox' });
  // What answers for Python here is enough for the page: it knows the two programs that are on it.
  const python = '#!/bin/sh\ncase "$1 $(cat)" in "- print(6 * 7)") echo 42;; *) exit 3;; esac\n';
  await registry.push('python:slim', {
    base: 'busybox',
    layers: [{ files: { 'usr/bin/python3': python } }],
  });
  const files = directory(t);
  mkdirSync(join(files, 'in'));
  writeFileSync(join(files, 'in', 'file'), 'content');
  const printed = [];
  let sunk = 0;
  const scope = {
    require: (name) => (name === '@boxlite-ai/boxlite' ? package_ : require(name)),
    console: { log: (...words) => printed.push(words.join(' ')) },
    process: { stdout: { write: (bytes) => printed.push(bytes.toString()) } },
    homeDir: process.env.BOXLITE_TEST_HOME,
    directory: join(files, 'in'),
    sink: new Writable({ write: (bytes, _, done) => ((sunk += bytes.length), done()) }),
  };
  const code = program(page, (text) =>
    text
      .replaceAll('registry.example:5000', registry.host)
      .replaceAll("'debian:12-slim'", `'${registry.host}/debian:12-slim'`)
      .replaceAll("'debian:none'", `'${registry.host}/debian:none'`)
      .replaceAll("'worker'", `'worker-${process.pid}'`)
      .replaceAll("'short'", `'short-${process.pid}'`),
  );
  await new Function(...Object.keys(scope), code)(...Object.values(scope));
  return { printed: printed.join('\n'), sunk };
}

test('docs/node.md does what it says', async (t) => {
  process.env.BOXLITE_HOME = process.env.BOXLITE_TEST_HOME;
  t.after(() => package_.Boxlite.withDefaultConfig().close());
  const { printed, sunk } = await follow(t, readFileSync('node.md', 'utf8'));
  for (const expected of [
    'hello\n 0',
    '42\n',
    /is sha256:[0-9a-f]+ \(\d layers\)/,
    'true',
    'hello\n 3',
    'a\nb\n',
    /changed my mind|the pull had won/,
    'NotFound 2 images.get',
    'running',
    'Stopped',
  ]) {
    assert.ok(typeof expected === 'string' ? printed.includes(expected) : expected.test(printed), `${expected}: ${printed}`);
  }
  assert.ok(sunk > 0);
});

test('the README does what it says', async (t) => {
  process.env.BOXLITE_HOME = process.env.BOXLITE_TEST_HOME;
  const registry = await Registry.start(t);
  package_.Boxlite.withDefaultConfig().close();
  package_.Boxlite.initDefault({ imageRegistries: [{ host: registry.host, search: true }] });
  t.after(() => package_.Boxlite.withDefaultConfig().close());
  await registry.push('debian:12-slim', { base: 'busybox' });
  const printed = [];
  const code = program(readFileSync('README.md', 'utf8'), (text) => text);
  await new Function('require', 'console', code)(() => package_, { log: (text) => printed.push(text) });
  assert.deepEqual(printed, ['hello\n']);
});
