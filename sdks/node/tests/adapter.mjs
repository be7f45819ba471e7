// The adapter of this package for `boxlite-conformance` (conformance/PROTOCOL.md).
//
// It calls the package as a user would, and reports what came back in the spelling of the protocol. It never judges.

import { createInterface } from 'node:readline';
import { setImmediate as turn } from 'node:timers/promises';

import { Boxlite, BoxliteError, NotFoundError } from '@boxlite-ai/boxlite';

const handles = new Map();
const running = new Map();

/** Writes camelCase as snake_case, bytes as base64; keys of maps stay. */
function spell(value) {
  if (Buffer.isBuffer(value)) {
    return value.toString('base64');
  }
  if (Array.isArray(value)) {
    return value.map(spell);
  }
  if (typeof value === 'bigint') {
    return Number(value);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  const entries = Object.entries(value).map(([key, part]) => {
    const map = (key === 'labels' || key === 'env') && !Array.isArray(part);
    return [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), map ? part : spell(part)];
  });
  return Object.fromEntries(entries);
}

const seconds = (text) => (text === undefined ? undefined : Date.parse(text) / 1000);

function image(info) {
  return spell({ ...info, cachedAt: seconds(info.cachedAt), lastUsedAt: seconds(info.lastUsedAt) });
}

function details({ history, ...info }) {
  return { ...image(info), history: history.map(({ createdBy, emptyLayer }) => [createdBy, emptyLayer]) };
}

/** With the fields of crate `boxlite-types`, where an option that was not used is null. */
function box({ state, createdAt, startedAt, stoppedAt, cpus, memoryMib, diskMib, ...info }) {
  return {
    name: null,
    exit_code: null,
    isolation: null,
    ...spell(info),
    state: state.status,
    pid: state.pid ?? null,
    created_at: seconds(createdAt),
    started_at: seconds(startedAt) ?? null,
    stopped_at: seconds(stoppedAt) ?? null,
  };
}

function status({ exitCode, errorMessage, ...rest }) {
  return { code: null, signal: null, ...spell(rest) };
}

function stat({ modifiedMs, ...rest }) {
  return { link_target: null, ...spell(rest) };
}

/** Takes out of `spec` what it has a name for; the rest is passed on, to be refused by the package. */
function exec({ argv, env, cwd, user, tty, stdin = false, timeout_ms, ...rest }) {
  return defined({
    ...rest,
    argv,
    env,
    workingDir: cwd,
    user,
    tty,
    stdin,
    timeoutSecs: timeout_ms === undefined || timeout_ms === null ? undefined : timeout_ms / 1000,
  });
}

function create({ resources = {}, env, cwd, main, auto_remove, labels, isolation, ...rest }) {
  const { cpus, memory_mib, disk_mib } = resources;
  const pairs = (list) => list?.map((entry) => entry.split(/=(.*)/s).slice(0, 2));
  return defined({
    ...rest,
    cpus,
    memoryMib: memory_mib,
    diskMib: disk_mib,
    env: pairs(env),
    workingDir: cwd,
    main: main && exec(main),
    autoRemove: auto_remove,
    labels: labels && Object.fromEntries(pairs(labels)),
  });
}

function defined(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined && value !== null));
}

function registry({ host, transport, username, password, token }) {
  const auth = defined({ username, password, bearerToken: token });
  return defined({ host, transport, auth: Object.keys(auth).length > 0 ? auth : undefined });
}

const timeoutSecs = ({ timeout_ms }) => (timeout_ms === undefined ? undefined : timeout_ms / 1000);
const copying = ({ overwrite, follow_symlinks }) => defined({ overwrite, followSymlinks: follow_symlinks });
const step = async (sequence) => (await sequence.next()).value ?? null;

/** A handle and what the answer says of it. */
class Made {
  constructor(handle, answer = null) {
    Object.assign(this, { handle, answer });
  }
}

const operations = {
  'runtime.open': async (_, { home, registries = [], accelerator, spare_machine, retry_delay_ms, signal }) =>
    new Made(
      await Boxlite.open({
        ...defined({ homeDir: home, accelerator, spareMachine: spare_machine, retryDelayMs: retry_delay_ms, signal }),
        imageRegistries: registries.map(registry),
      }),
    ),
  'runtime.images': (runtime) => new Made(runtime.images),
  'runtime.create': async (runtime, { spec, signal }) => {
    const made = await runtime.create({ ...create(spec), ...defined({ signal }) });
    return new Made(made, { id: made.id });
  },
  'runtime.get': async (runtime, { name, signal }) => {
    const found = await runtime.get(name, { signal });
    if (found === null) {
      throw new NotFoundError(`there is no box \`${name}\``, { operation: 'runtime.get', context: { box: name } });
    }
    return new Made(found, { id: found.id });
  },
  'runtime.list': async (runtime, options) => (await runtime.listInfo(options)).map(box),
  'runtime.remove': (runtime, { name, ...options }) => runtime.remove(name, options),
  'runtime.metrics': async (runtime, options) => spell(await runtime.metrics(options)),
  'runtime.usage': async (runtime, options) => spell(await runtime.usage(options)),
  'runtime.check': async (runtime, options) => spell(await runtime.check(options)),
  'runtime.doctor': async (runtime, options) => spell(await runtime.doctor(options)),
  'runtime.prepare': (runtime, { resources = {}, signal }) => {
    const { cpus, memory_mib, disk_mib } = resources;
    return runtime.prepare(defined({ cpus, memoryMib: memory_mib, diskMib: disk_mib, signal }));
  },
  'runtime.events': (runtime) => new Made(runtime.events()),
  'runtime.shutdown': (runtime, options) => runtime.shutdown(timeoutSecs(options)),
  'runtime.close': (runtime) => runtime.close(),
  'kernels.list': async (runtime, options) => spell(await runtime.kernels.list(options)),
  'kernels.install': async (runtime, options) => spell(await runtime.kernels.install(options)),
  'images.pull': async (images, { reference, progress, id, ...options }) => {
    const onProgress = (event) => send({ progress: id, event: spell(event) });
    return spell(await images.pull(reference, defined({ ...options, onProgress: progress ? onProgress : undefined })));
  },
  'images.list': async (images, options) => (await images.list(options)).map(image),
  'images.get': async (images, { reference, ...options }) => image(await images.get(reference, options)),
  'images.inspect': async (images, { reference, ...options }) => details(await images.inspect(reference, options)),
  'images.tag': async (images, { reference, name, ...options }) => image(await images.tag(reference, name, options)),
  'images.remove': async (images, { reference, ...options }) => spell(await images.remove(reference, options)),
  'images.export_erofs': (images, { reference, file, ...options }) => images.exportErofs(reference, file, options),
  'images.close': (images) => images.close(),
  'box.info': async (handle, options) => box(await handle.info(options)),
  'box.start': (handle, options) => handle.start(options),
  'box.start_attached': async (handle, options) => new Made(await handle.startAttached(options)),
  'box.exec': async (handle, { spec, signal }) => new Made(await handle.exec({ ...exec(spec), ...defined({ signal }) })),
  'box.attach': async (handle, options) => new Made(await handle.attach(options)),
  'box.detach': (handle, options) => handle.detach(options),
  'box.stop': (handle, options) => handle.stop(defined({ timeoutSecs: timeoutSecs(options), signal: options.signal })),
  'box.restart': (handle, options) =>
    handle.restart(defined({ timeoutSecs: timeoutSecs(options), signal: options.signal })),
  'box.kill': (handle, options) => handle.kill(options),
  'box.signal': (handle, { signal: abort, number }) => handle.signal(number, { signal: abort }),
  'box.wait': (handle, options) => handle.wait(options),
  'box.metrics': async (handle, options) => spell(await handle.metrics(options)),
  'box.stat': async (handle, { path, follow_symlinks, signal }) =>
    stat(await handle.stat(path, defined({ followSymlinks: follow_symlinks, signal }))),
  'box.copy_in': (handle, { host, inside, signal, ...options }) =>
    handle.copyIn(host, inside, defined({ ...copying(options), signal })),
  'box.copy_out': (handle, { host, inside, signal, ...options }) =>
    handle.copyOut(inside, host, defined({ ...copying(options), signal })),
  'box.put_archive': (handle, { directory, bytes, signal }) =>
    handle.putArchive(directory, Buffer.from(bytes, 'base64'), defined({ signal })),
  'box.get_archive': async (handle, { path, signal }) =>
    spell(await (await handle.getArchive(path, defined({ signal }))).bytes({ signal })),
  'box.logs': async (handle, { follow, tail, signal }) => new Made(await handle.logs(defined({ follow, tail, signal }))),
  'box.remove': (handle, options) => handle.remove(options),
  'box.close': (handle) => handle.close(),
  'execution.read': async (handle, { stream, signal }) => {
    const output = stream === 'stdout' ? handle.stdout() : handle.stderr();
    return spell((await output.read({ signal })) ?? Buffer.alloc(0));
  },
  'execution.write': (handle, { bytes, signal }) => handle.stdin().write(Buffer.from(bytes, 'base64'), { signal }),
  'execution.close_stdin': (handle, options) => handle.stdin().close(options),
  'execution.output': async (handle, options) => {
    const { stdout, stderr, ...how } = await handle.output(options);
    return { stdout: spell(stdout), stderr: spell(stderr), status: status(how) };
  },
  'execution.wait': async (handle, options) => status(await handle.wait(options)),
  'execution.signal': (handle, { signal: abort, number }) => handle.signal(number, { signal: abort }),
  'execution.kill': (handle, options) => handle.kill(options),
  'execution.resize': (handle, { rows, columns, signal }) => handle.resizeTty(rows, columns, { signal }),
  'execution.close': (handle) => handle.close(),
  'events.next': async (events) => spell(await step(events)),
  'logs.next': async (logs) => {
    const entry = await step(logs);
    return entry && spell(entry);
  },
  'test.same': (handle, { other }) => handle === handles.get(other),
  'test.collect': async (runtime, _, name) => {
    // Only the adapter's own references are in the way: the argument of this function is one of them.
    const { images } = runtime;
    runtime = undefined;
    handles.delete(name);
    let stopped = false;
    while (!stopped) {
      globalThis.gc();
      await turn();
      images.list().catch((error) => (stopped = error.code === 'Stopped'));
      await turn();
    }
  },
};

function send(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function describe(error) {
  const { code, message, operation, context, retryable, hint, cause } = error;
  const source = cause instanceof Error ? cause.message : null;
  return { code, message, operation: operation ?? null, context, retryable, hint: hint ?? null, source };
}

async function carryOut({ id, op, on, as, args = {} }) {
  const operation = operations[op];
  if (operation === undefined || (on && !handles.has(on))) {
    return { id, adapter_error: operation ? `there is no handle \`${on}\`` : `there is no operation \`${op}\`` };
  }
  const abort = new AbortController();
  running.set(id, abort);
  const named = op.endsWith('.signal') ? { number: args.signal } : args;
  try {
    const extra = op === 'images.pull' ? { id } : {};
    const answer = await operation(handles.get(on), { ...named, ...extra, signal: abort.signal }, on);
    if (!(answer instanceof Made)) {
      return { id, ok: answer ?? null };
    }
    handles.set(as, answer.handle);
    return { id, ok: answer.answer };
  } catch (error) {
    return error instanceof BoxliteError ? { id, error: describe(error) } : { id, adapter_error: error.stack };
  } finally {
    running.delete(id);
  }
}

send({
  hello: {
    protocol: 1,
    surface: 'node',
    version: '0.1.0',
    capabilities: ['progress', 'cancel', 'close_handle', 'identity', 'gc', 'main', 'tty', 'vm'],
  },
});
// What is under way would keep Node running.
const requests = createInterface({ input: process.stdin }).on('close', () => process.exit(0));
requests.on('line', (line) => {
  const request = JSON.parse(line);
  if (request.cancel !== undefined) {
    running.get(request.cancel)?.abort();
  } else {
    void carryOut(request).then(send);
  }
});
