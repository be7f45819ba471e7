// Boxes: machines that really run, in the home `BOXLITE_TEST_HOME`, which keeps kernel and template.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';

import { Boxlite } from '@boxlite-ai/boxlite';

import { ROUNDS, directory, fails, until } from './helpers.mjs';
import { IMAGE, MACHINE, openMachines, running, shell, sleeps } from './machines.mjs';

test('a box is created, started, used, stopped, found again and removed', async (t) => {
  const runtime = await openMachines(t);
  const name = `node-${process.pid}-life`;
  const box = await runtime.create({ ...MACHINE, env: { GREETING: 'hello' }, workingDir: '/tmp', labels: { a: 'b' } }, name);
  t.after(() => runtime.remove(name, true).catch(() => {}));
  assert.equal(box.name, name);
  assert.deepEqual([(await box.info()).state], [{ status: 'created', running: false }]);
  await fails(box.exec('true'), 'InvalidState');
  await box.start();
  const info = await box.info();
  assert.ok(info.state.running && info.state.pid > 0);
  assert.deepEqual([info.isolation.engine, info.memoryMib, info.cpus, info.image], ['vm', 256, 1, IMAGE]);
  assert.ok(Math.abs(Date.parse(info.startedAt) - Date.now()) < 120_000);

  const execution = await box.exec('sh', ['-c', 'echo $GREETING $NAME; pwd; exit 3'], [['NAME', 'node']]);
  assert.match(execution.id(), new RegExp(`^${box.id}-${execution.pid()}$`));
  const output = await execution.output();
  assert.deepEqual([output.stdout.toString(), output.exitCode, output.code], ['hello node\n/tmp\n', 3, 3]);
  assert.ok((await box.metrics()).memoryTotalBytes > 100 << 20);
  const stat = await box.stat('/etc/passwd');
  assert.deepEqual([stat.uid, stat.mode & 0o170000], [0, 0o100000]);

  assert.equal((await runtime.getInfo(name)).id, box.id);
  assert.ok((await runtime.listInfo()).some(({ id }) => id === box.id));
  const again = await runtime.getOrCreate(MACHINE, name);
  assert.deepEqual([again.created, again.box.id], [false, box.id]);
  await fails(runtime.create(MACHINE, name), 'AlreadyExists');
  await fails(runtime.remove(name), 'InvalidState');
  const waited = box.wait();
  await box.stop();
  assert.equal(await waited, 0);
  await box.restart();
  assert.equal((await shell(box, 'cat /proc/uptime')).exitCode, 0);
  await box.kill();
  assert.equal(await box.wait(), 137);
  await box.remove();
  await fails(box.info(), 'NotFound');
  assert.equal(await runtime.get(name), null);
});

test('published and own form of exec say the same', async (t) => {
  const box = await running(t);
  const forms = [
    () => box.exec('sh', ['-c', 'echo $A; id -u; pwd'], [['A', 'b']], false, '65534', 30, '/tmp'),
    () => box.exec('sh', ['-c', 'echo $A; id -u; pwd'], { A: 'b' }, null, '65534', null, '/tmp'),
    () =>
      box.exec({
        argv: ['sh', '-c', 'echo $A; id -u; pwd'],
        env: [{ key: 'A', value: 'b' }],
        user: '65534',
        timeoutSecs: 30,
        workingDir: '/tmp',
      }),
  ];
  for (const begin of forms) {
    assert.equal((await (await begin()).output()).stdout.toString(), 'b\n65534\n/tmp\n');
  }
  for (const wrong of [{ argv: ['true'], cwd: '/' }, { argv: 'true' }, { argv: ['true'], timeoutSecs: -1 }]) {
    await fails(box.exec(wrong), 'InvalidArgument');
  }
  await fails(box.exec('no-such-program'), 'NotFound');
});

test('streams of the published form: next, write, writeString, close', async (t) => {
  const box = await running(t);
  const execution = await box.exec('cat');
  const [stdin, stdout] = [await execution.stdin(), await execution.stdout()];
  assert.equal(execution.stdout(), stdout);
  await stdin.write(Buffer.from('grüße '));
  await stdin.writeString('aus der kiste\n');
  await stdin.close();
  await stdin.close();
  let text = '';
  for (let piece = await stdout.next(); piece !== null; piece = await stdout.next()) {
    text += piece;
  }
  assert.equal(text, 'grüße aus der kiste\n');
  assert.deepEqual((await execution.wait()).exitCode, 0);
  await fails(stdin.write('more'), 'InvalidState');
});

test('a character that is cut in two arrives whole', async (t) => {
  const box = await running(t);
  const execution = await box.exec('sh', ['-c', "printf '\\303'; read line; printf '\\274'"]);
  const next = execution.stdout().next();
  await execution.stdin().writeString('\n');
  assert.equal(await next, 'ü');
  assert.equal(await execution.stdout().next(), null);
});

test('bytes are exact through streams of Node, in both directions, with little memory', async (t) => {
  const box = await running(t);
  const megabytes = process.env.BOXLITE_SOAK_ROUNDS ? 1024 : 64;
  const hash = createHash('sha256');
  const block = Buffer.alloc(1 << 20, 'all work and no play makes jack a dull boy\n');
  const send = function* () {
    for (let sent = 0; sent < megabytes; sent += 1) {
      block.writeUInt32LE(sent, 0);
      hash.update(block);
      yield Buffer.from(block);
    }
  };
  const execution = await box.exec('cat');
  const back = createHash('sha256');
  let received = 0;
  let largest = 0;
  const receive = new Writable({
    write(piece, _, done) {
      back.update(piece);
      received += piece.length;
      largest = Math.max(largest, process.memoryUsage.rss());
      done();
    },
  });
  globalThis.gc();
  const before = process.memoryUsage.rss();
  await Promise.all([
    pipeline(Readable.from(send()), execution.stdin().writable()),
    pipeline(execution.stdout().readable(), receive),
  ]);
  assert.deepEqual([received, back.digest('hex')], [megabytes << 20, hash.digest('hex')]);
  assert.equal((await execution.wait()).exitCode, 0);
  assert.ok(largest - before < 160 << 20, `grew by ${(largest - before) >> 20} MiB`);
});

test('writes that nobody waits for arrive in the order of the calls, and all of them before the end', async (t) => {
  const box = await running(t);
  const execution = await box.exec('cat');
  const stdin = execution.stdin();
  const pieces = [];
  let closed;
  // Each write that is over makes another one, while many wait for their turn.
  const write = async () => {
    const piece = Buffer.alloc(10_000, `${pieces.length} `);
    const written = stdin.write(piece);
    if (pieces.push(piece) === 300) {
      closed = stdin.close();
    }
    await written;
    return pieces.length < 300 ? write() : undefined;
  };
  const written = Promise.all(Array.from({ length: 60 }, write));
  const stdout = await execution.stdout().bytes();
  await Promise.all([written, closed]);
  assert.ok(stdout.equals(Buffer.concat(pieces)), `${stdout.length} bytes`);
});

test('a command whose output was given up can still be brought to its end', async (t) => {
  const box = await running(t);
  for (const end of ['output', 'wait']) {
    const execution = await box.exec('cat');
    await fails(execution[end]({ signal: AbortSignal.abort() }), 'Cancelled');
    assert.equal((await execution[end]()).exitCode, 0);
  }
  const execution = await box.exec('cat');
  await fails(execution.stdin().close({ signal: AbortSignal.abort() }), 'Cancelled');
  await execution.stdin().close();
  assert.equal(await execution.stdout().next(), null);
});

test('a reader that does not read holds the command back', async (t) => {
  const box = await running(t);
  const execution = await box.exec('sh', ['-c', 'head -c 50000000 /dev/zero; touch /tmp/wrote-all']);
  const first = await execution.stdout().read();
  assert.ok(first.length > 0);
  await fails(box.stat('/tmp/wrote-all'), 'NotFound');
  const rest = await execution.stdout().bytes();
  assert.equal(first.length + rest.length, 50_000_000);
  assert.equal((await execution.wait()).exitCode, 0);
  await box.stat('/tmp/wrote-all');
});

test('stdout and stderr are two streams, and one on a terminal, which can be resized', async (t) => {
  const box = await running(t);
  const both = await (await box.exec('sh', ['-c', 'echo out; echo err >&2'])).output();
  assert.deepEqual([both.stdout.toString(), both.stderr.toString()], ['out\n', 'err\n']);
  const execution = await box.exec({ argv: ['sh', '-c', 'read x; stty size; echo err >&2'], tty: { rows: 10, columns: 20 } });
  await execution.resizeTty(33, 77);
  await execution.stdin().write('\n');
  const { stdout, stderr } = await execution.output();
  assert.match(stdout.toString(), /33 77\r\nerr\r\n$/);
  assert.equal(stderr.length, 0);
});

test('signals, timeouts and kills say what they were', async (t) => {
  const box = await running(t);
  const sleeping = await box.exec('sleep', ['1000']);
  await sleeping.signal(15);
  const terminated = await sleeping.wait();
  assert.deepEqual([terminated.signal, terminated.code, terminated.exitCode], [15, undefined, 143]);
  assert.match(terminated.errorMessage, /15/);
  const killed = await box.exec('sleep', ['1000']);
  await killed.kill();
  assert.equal((await killed.wait()).signal, 9);
  const slow = await box.exec({ argv: ['sleep', '1000'], timeoutSecs: 0.05 });
  const late = await slow.wait();
  assert.deepEqual([late.timedOut, late.errorMessage], [true, 'it did not end within its timeout']);
  await fails(slow.signal(0x1000), 'InvalidArgument');
  await fails(slow.signal('TERM'), 'InvalidArgument');
});

test('waiting is cancelled, reading is, and neither loses anything', async (t) => {
  const box = await running(t);
  const execution = await box.exec('sh', ['-c', 'read x; echo answer']);
  const [stdin, stdout] = [execution.stdin(), execution.stdout()];
  const abort = new AbortController();
  const reads = [stdout.read({ signal: abort.signal }), execution.wait({ signal: abort.signal })];
  abort.abort();
  await Promise.all(reads.map((read) => fails(read, 'Cancelled')));
  await stdin.write('\n');
  assert.equal((await execution.output()).stdout.toString(), 'answer\n');
});

test('a start is cancelled at every stage, and the next one may come at once', async (t) => {
  const runtime = await openMachines(t);
  const box = await runtime.create({ ...MACHINE, autoRemove: true });
  t.after(() => box.remove({ force: true }).catch(() => {}));
  const stages = ['shim', 'machine', 'root'];
  for (let round = 0; round < Math.max(30, ROUNDS); round += 1) {
    const abort = new AbortController();
    const start = box.start({ signal: abort.signal });
    const cancelled = start.then(
      () => 'started',
      (error) => error.code,
    );
    for await (const event of runtime.events()) {
      if (event.type === 'box_starting' && event.stage === stages[round % 3]) {
        abort.abort();
        break;
      }
      assert.notEqual(event.type, 'box_started');
    }
    assert.equal(await cancelled, 'Cancelled');
    assert.equal((await box.info()).state.status, 'created');
  }
  await box.start();
  await box.stop();
});

test('trees are copied in and out by the rules of docker cp', async (t) => {
  const box = await running(t);
  const host = directory(t);
  const tree = join(host, 'tree');
  mkdirSync(join(tree, 'sub'), { recursive: true });
  writeFileSync(join(tree, 'sub', 'large'), Buffer.alloc(3_000_000, 7));
  symlinkSync('sub/large', join(tree, 'link'));
  await box.copyIn(tree, '/tmp');
  assert.equal((await shell(box, 'stat -c %s /tmp/tree/sub/large; readlink /tmp/tree/link')).stdout, '3000000\nsub/large\n');
  await box.copyOut('/tmp/tree', join(host, 'back'));
  assert.deepEqual(readFileSync(join(host, 'back', 'sub', 'large')), Buffer.alloc(3_000_000, 7));
  assert.equal(readlinkSync(join(host, 'back', 'link')), 'sub/large');
  await fails(box.copyIn(tree, '/tmp', { overwrite: false }), 'AlreadyExists');
  await fails(box.copyIn(join(host, 'none'), '/tmp'), 'NotFound');
  await fails(box.copyIn(tree, '/tmp', { overwite: true }), 'InvalidArgument');
  await fails(box.copyIn(tree, '/tmp', { recursive: false }), 'Unsupported');
});

test('archives stream out of one box and into another', async (t) => {
  const [from, to] = [await running(t), await running(t)];
  await shell(from, 'mkdir /tmp/made; head -c 2000000 /dev/urandom > /tmp/made/file');
  const sum = (await shell(from, 'md5sum < /tmp/made/file')).stdout;
  await to.putArchive('/tmp', await from.getArchive('/tmp/made'));
  assert.equal((await shell(to, 'md5sum < /tmp/made/file')).stdout, sum);
  const whole = await (await from.getArchive('/tmp/made')).bytes();
  await to.putArchive('/etc', whole);
  assert.equal((await shell(to, 'md5sum < /etc/made/file')).stdout, sum);
  const broken = async function* () {
    yield whole.subarray(0, 100_000);
    throw new RangeError('the source broke');
  };
  await assert.rejects(to.putArchive('/tmp', broken()), new RangeError('the source broke'));
  let left = false;
  const endless = async function* () {
    try {
      for (;;) yield whole;
    } finally {
      left = true;
    }
  };
  await fails(to.putArchive('/no/such/directory', endless()), 'NotFound');
  await until(() => left);
});

test('the log of a main command is followed until the box stops', async (t) => {
  const runtime = await openMachines(t);
  const script = 'echo one; until [ -e /go ]; do sleep 0.05; done; echo two >&2; exit 5';
  const box = await runtime.create({ ...MACHINE, cmd: ['sh', '-c', script] });
  t.after(() => box.remove({ force: true }).catch(() => {}));
  await box.start();
  const log = await box.logs({ follow: true });
  const first = await log.next();
  assert.deepEqual([first.value.bytes.toString(), first.value.source], ['one\n', 'stdout']);
  assert.ok(Math.abs(Number(first.value.atNs / 1_000_000n) - Date.now()) < 120_000);
  await shell(box, 'touch /go');
  const rest = [];
  for await (const { bytes, source } of log) {
    rest.push([bytes.toString(), source]);
  }
  assert.deepEqual(rest, [['two\n', 'stderr']]);
  assert.equal(await box.wait(), 5);
  const tail = [];
  for await (const { bytes } of await box.logs({ tail: 1 })) {
    tail.push(bytes.toString());
  }
  assert.deepEqual(tail, ['two\n']);
});

test('a log that is left is not followed any more', { skip: !existsSync('/proc/self/fd') && 'no /proc' }, async (t) => {
  const runtime = await openMachines(t);
  const box = await runtime.create({ ...MACHINE, cmd: ['sh', '-c', 'echo one; exec sleep 1000'] });
  t.after(() => box.remove({ force: true }).catch(() => {}));
  await box.start();
  const watches = () => {
    const links = readdirSync('/proc/self/fd').map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return 'closed meanwhile';
      }
    });
    return links.filter((link) => link.includes('inotify')).length;
  };
  const before = watches();
  for await (const { bytes } of await box.logs({ follow: true })) {
    assert.equal(bytes.toString(), 'one\n');
    assert.ok(watches() > before);
    break;
  }
  await until(() => watches() === before);
  const abort = new AbortController();
  const log = await box.logs({ follow: true, signal: abort.signal });
  await log.next();
  const next = log.next();
  abort.abort();
  await fails(next, 'Cancelled');
  await until(() => watches() === before);
});

test('a main command is attached to, talked to and let go of', async (t) => {
  const runtime = await openMachines(t);
  const box = await runtime.create({ ...MACHINE, main: { argv: ['cat'], stdin: true } });
  t.after(() => box.remove({ force: true }).catch(() => {}));
  {
    const execution = await box.startAttached();
    await execution.stdin().write('one\n');
    assert.equal(await execution.stdout().next(), 'one\n');
    execution.close();
  }
  let second;
  await until(async () => {
    second = await box.attach().catch((error) => assert.equal(error.code, 'InUse'));
    return second !== undefined;
  });
  assert.ok((await box.info()).state.running);
  await second.stdin().close();
  assert.equal(await box.wait(), 0);
});

test('an execution that is closed, disposed or garbage is killed; a detached one goes on', async (t) => {
  const box = await running(t);
  const alive = (seconds) => sleeps(box, seconds);
  const closed = await box.exec('sleep', ['1001']);
  assert.ok(await alive(1001));
  closed.close();
  closed.close();
  await fails(closed.wait(), 'InvalidState');
  await until(async () => !(await alive(1001)));
  // Also with input under way that it does not read.
  const stuck = await box.exec('sleep', ['1005']);
  const writing = fails(stuck.stdin().write(Buffer.alloc(2 << 20)), 'InvalidState');
  assert.ok(await alive(1005));
  stuck.close();
  await writing;
  await until(async () => !(await alive(1005)));
  const disposed = await box.exec('sleep', ['1002']);
  await disposed[Symbol.asyncDispose]();
  assert.equal(await alive(1002), false, 'disposing waits');
  await box.exec('sleep', ['1003']);
  assert.ok(await alive(1003));
  await until(async () => {
    globalThis.gc();
    return !(await alive(1003));
  });
  const detached = await box.exec({ argv: ['sleep', '1004'], detach: true });
  detached.close();
  assert.ok(await alive(1004));
});

test('what is held of a box is Stopped the moment its runtime is shut down', async (t) => {
  const runtime = await openMachines(t);
  const box = await runtime.create({ ...MACHINE, autoRemove: true });
  await box.start();
  const execution = await box.exec('sh', ['-c', 'echo begun; cat']);
  const [stdin, stdout] = [execution.stdin(), execution.stdout()];
  assert.equal(await stdout.next(), 'begun\n');
  let open = 4;
  const pending = [stdout.read(), execution.wait(), box.wait(), box.exec('sleep', ['1000']).then((e) => e.wait())].map(
    (promise) => fails(promise, 'Stopped').finally(() => (open -= 1)),
  );
  await until(() => sleeps(box, 1000));
  await runtime.shutdown(30);
  assert.equal(open, 0, 'everything that waited had ended before');
  await Promise.all(pending);
  for (const call of [
    () => stdin.write('x'),
    () => stdout.read(),
    () => stdout.next(),
    () => execution.wait(),
    () => execution.kill(),
    () => execution.signal(15),
    () => execution.resizeTty(1, 1),
    () => execution.output(),
    () => box.exec('true'),
  ]) {
    await fails(call(), 'Stopped');
  }
  await execution[Symbol.asyncDispose]();
  await box[Symbol.asyncDispose]();
});

test('a hundred commands at once each end as they should', async (t) => {
  const box = await running(t);
  const codes = await Promise.all(
    Array.from({ length: 100 }, async (_, code) => (await (await box.exec('sh', ['-c', `exit ${code}`])).wait()).exitCode),
  );
  assert.deepEqual(
    codes,
    Array.from({ length: 100 }, (_, code) => code),
  );
});

test('what the published package has and this one has not is refused with the reason', async (t) => {
  const runtime = await openMachines(t);
  const cases = {
    ports: [{ guestPort: 80 }],
    volumes: [{ hostPath: '/', guestPath: '/host' }],
    network: { mode: 'enabled' },
    secrets: [{ name: 'a', value: 'b' }],
    rootfsPath: '/tmp',
    security: {},
    autoStop: 10,
  };
  for (const [key, value] of Object.entries(cases)) {
    const error = await fails(runtime.create({ ...MACHINE, [key]: value }), 'Unsupported');
    assert.ok(error.message.includes(`\`${key}\``), error.message);
  }
  await fails(runtime.create({ ...MACHINE, memoryMb: 1 }), 'InvalidArgument');
  await fails(runtime.create({ ...MACHINE, cmd: ['a'], main: { argv: ['b'] } }), 'InvalidArgument');
  const box = await runtime.create({ ...MACHINE, ports: [], diskSizeGb: 0.5 });
  assert.equal((await box.info()).diskMib, 512);
  await box.remove();
});

test('a host that can run boxes says so, and prepares', async (t) => {
  const runtime = await openMachines(t);
  const { checks } = await runtime.doctor();
  assert.ok(checks.every(({ ok, required }) => ok || !required), JSON.stringify(checks));
  await runtime.prepare({ memoryMib: 256 });
  const [kernel] = await runtime.kernels.list();
  assert.ok(kernel.current && kernel.sizeBytes > 0);
  assert.ok(runtime instanceof Boxlite);
});
