// The package as it is installed: from CommonJS and from ESM, its types, what is in it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import * as imported from '@boxlite-ai/boxlite';

const require = createRequire(import.meta.url);
const here = import.meta.dirname;

test('`require` and `import` give the very same objects', () => {
  const required = require('@boxlite-ai/boxlite');
  const { __esModule: _, ...named } = imported;
  assert.deepEqual(Object.keys(named).sort(), Object.keys(required).sort());
  for (const [name, value] of Object.entries(named)) {
    assert.equal(value, required[name], name);
  }
});

test('the types hold under `tsc --strict`, from CommonJS and from ESM', () => {
  const tools = join(process.env.BOXLITE_NODE_TOOLS, 'node_modules');
  const files = readdirSync(join(here, 'types')).map((name) => join(here, 'types', name));
  assert.ok(files.length >= 2);
  const options = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--module', 'node16', '--target', 'es2022'];
  options.push('--lib', 'es2022,esnext.disposable', '--types', 'node', '--typeRoots', join(tools, '@types'));
  const { status, stdout } = spawnSync(join(tools, '.bin', 'tsc'), [...options, ...files], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});

test('the package holds what it needs, and nothing that would run when it is installed', () => {
  const root = dirname(require.resolve('@boxlite-ai/boxlite/package.json'));
  const fields = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  assert.deepEqual([fields.scripts, fields.dependencies, fields.devDependencies], [undefined, undefined, undefined]);
  assert.deepEqual(readdirSync(root).sort(), ['LICENSE', 'README.md', 'lib', 'native', 'package.json']);
  const [module] = readdirSync(join(root, 'native'));
  assert.equal(module, `boxlite-${process.platform}-${process.arch}.node`);
  const megabytes = statSync(join(root, 'native', module)).size / 1e6;
  assert.ok(megabytes < 20, `${megabytes} MB`);
});

test('a host that the package has no module for is told so', () => {
  const program = `
    Object.defineProperty(process, 'platform', { value: 'plan9' });
    try { require('@boxlite-ai/boxlite'); } catch (error) { console.log(error.message); }
  `;
  const { stdout } = spawnSync(process.execPath, ['--eval', program], { cwd: here, encoding: 'utf8' });
  assert.match(stdout, /no native module for plan9 on \w+ \(it has: boxlite-/);
});
