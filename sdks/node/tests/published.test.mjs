// The names of the published package (0.10): those that are kept, and those that are not, with the reason. Nothing is in
// neither table, and nothing is in the wrong one.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import * as package_ from '@boxlite-ai/boxlite';

import { emptyHome } from './helpers.mjs';

const NO_NETWORK = 'boxes have no network';
const NO_REST = 'there is no REST client';
const NO_SNAPSHOTS = 'there are no snapshots, clones and exports';

const EXPORTS = {
  JsBoxlite: true,
  SimpleBox: true,
  CodeBox: true,
  InteractiveBox: true,
  BoxliteError: true,
  ExecError: true,
  TimeoutError: true,
  ParseError: true,
  BoxliteRestOptions: NO_REST,
  ApiKeyCredential: NO_REST,
  BoxTunnel: NO_NETWORK,
  TunnelForwarder: NO_NETWORK,
  NetworkHandle: NO_NETWORK,
  BrowserBox: NO_NETWORK,
  ComputerBox: NO_NETWORK,
  SkillBox: NO_NETWORK,
  GUEST_IP: NO_NETWORK,
  BROWSERBOX_PORT: NO_NETWORK,
  COMPUTERBOX_IMAGE: NO_NETWORK,
  COMPUTERBOX_CPUS: NO_NETWORK,
  COMPUTERBOX_MEMORY_MIB: NO_NETWORK,
  COMPUTERBOX_DISPLAY_NUMBER: NO_NETWORK,
  COMPUTERBOX_DISPLAY_WIDTH: NO_NETWORK,
  COMPUTERBOX_DISPLAY_HEIGHT: NO_NETWORK,
  COMPUTERBOX_GUI_HTTP_PORT: NO_NETWORK,
  COMPUTERBOX_GUI_HTTPS_PORT: NO_NETWORK,
  DESKTOP_READY_TIMEOUT: NO_NETWORK,
  DESKTOP_READY_RETRY_DELAY: NO_NETWORK,
  SKILLBOX_IMAGE: NO_NETWORK,
  SKILLBOX_MEMORY_MIB: NO_NETWORK,
  SKILLBOX_DISK_SIZE_GB: NO_NETWORK,
  SKILLBOX_GUI_HTTP_PORT: NO_NETWORK,
  SKILLBOX_GUI_HTTPS_PORT: NO_NETWORK,
  DEFAULT_CPUS: 'defaults are those of the library',
  DEFAULT_MEMORY_MIB: 'defaults are those of the library',
  getNativeModule: 'the native module is nobody else’s business',
  getJsBoxlite: 'the class is exported itself',
};

const MEMBERS = {
  JsBoxlite: {
    create: true,
    getOrCreate: true,
    listInfo: true,
    getInfo: true,
    get: true,
    metrics: true,
    remove: true,
    close: true,
    shutdown: true,
    importBox: NO_SNAPSHOTS,
    volumes: 'there are no volumes',
  },
  ImageHandle: { pull: true, list: true },
  JsBox: {
    info: true,
    exec: true,
    start: true,
    stop: true,
    metrics: true,
    copyIn: true,
    copyOut: true,
    snapshot: NO_SNAPSHOTS,
    cloneBox: NO_SNAPSHOTS,
    export: NO_SNAPSHOTS,
    network: NO_NETWORK,
  },
  JsExecution: { id: true, stdin: true, stdout: true, stderr: true, wait: true, kill: true, resizeTty: true, signal: true },
  ExecStdin: { write: true, writeString: true, close: true },
  ExecOutput: { next: true },
  SimpleBox: {
    id: true,
    getId: true,
    name: true,
    created: true,
    info: true,
    getInfo: true,
    exec: true,
    copyIn: true,
    copyOut: true,
    metrics: true,
    stop: true,
    network: NO_NETWORK,
    tunnel: NO_NETWORK,
  },
  CodeBox: { run: true, runScript: true, installPackage: true, installPackages: true },
  InteractiveBox: { start: true, wait: true, stop: true },
};

const STATICS = { JsBoxlite: { withDefaultConfig: true, initDefault: true, rest: NO_REST } };

function holds(table, has, what) {
  for (const [name, kept] of Object.entries(table)) {
    assert.equal(has(name), kept === true, `${what}${name}: ${kept}`);
  }
}

test('published names are there, or absent for a reason', async (t) => {
  holds(EXPORTS, (name) => name in package_, '');
  for (const [type, members] of Object.entries(MEMBERS)) {
    holds(members, (name) => name in package_[type].prototype, `${type}.`);
  }
  for (const [type, members] of Object.entries(STATICS)) {
    holds(members, (name) => name in package_[type], `${type}.`);
  }
  const runtime = new package_.JsBoxlite(emptyHome(t));
  assert.ok(runtime.images instanceof package_.ImageHandle);
  await runtime.close();
  for (const type of ['JsBoxlite', 'JsBox', 'JsExecution', 'SimpleBox']) {
    assert.equal(typeof package_[type].prototype[Symbol.asyncDispose], 'function', type);
  }
});

test('the table of operations calls everything here by its name', () => {
  const table = readFileSync('operations.toml', 'utf8');
  const names = [...table.matchAll(/^node = "(.*)"$/gm)].map(([, name]) => name);
  assert.ok(names.length > 40);
  const own = { Boxlite: ['images'], Kernels: [] };
  for (const name of names) {
    const [type, member] = name.split('.');
    const { [type]: found } = package_;
    const there = found && (member in found.prototype || member in found || own[type]?.includes(member));
    assert.ok(there, name);
  }
});

test('errors are those of the table', () => {
  const table = readFileSync('errors.toml', 'utf8');
  const codes = [...table.matchAll(/^code = "(\w+)"\nnumber = (\d+)$/gm)].map(([, code, number]) => [code, Number(number)]);
  assert.deepEqual(Object.entries(package_.ErrorNumber), codes);
  for (const [code] of codes) {
    assert.equal(new package_[`${code}Error`]('text').code, code);
  }
});
