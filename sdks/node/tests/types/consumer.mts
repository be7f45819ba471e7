// Uses everything that has a type, as a program would. It is compiled, not run.

import { Boxlite, BoxliteError, CodeBox, ErrorNumber, ExecError, InteractiveBox, NotFoundError, SimpleBox } from '@boxlite-ai/boxlite';
import type { BoxInfo, ErrorCode, ImageInfo, ImagePullResult, JsBoxOptions, JsOptions, PullEvent } from '@boxlite-ai/boxlite';

const options: JsOptions = { homeDir: '/tmp', imageRegistries: [{ host: 'a', transport: 'http', auth: { username: 'u' } }] };
await using runtime = await Boxlite.open({ ...options, signal: AbortSignal.timeout(1000) });

const pull = runtime.images.pull('a/b:1', { platform: 'linux/arm64', policy: 'missing' });
for await (const event of pull) {
  const happened: PullEvent = event;
  if (happened.type === 'retrying') {
    happened.reason.toUpperCase();
  }
}
const pulled: ImagePullResult = await pull;
const listed: ImageInfo[] = await runtime.images.list({ signal: AbortSignal.abort() });
const created: string | undefined = listed[0]?.created;

const spec: JsBoxOptions = { image: pulled.reference, env: [{ key: 'A', value: 'b' }], cmd: ['true'], diskSizeGb: 1 };
await using box = await runtime.create(spec, 'name');
const found: BoxInfo | null = await runtime.getInfo(box.id);
const running: boolean = found?.state.running ?? false;
await using execution = await box.exec('cat', ['-'], [['A', 'b']], false, null, 10, '/');
await (await execution.stdin())?.write('text');
for await (const bytes of execution.stdout() ?? []) {
  bytes.readUInt8(0);
}
execution.stdout()?.readable().pipe(process.stdout);
const status: number = (await execution.wait({ signal: AbortSignal.timeout(1) })).exitCode;
const signal: number | undefined = (await box.exec({ argv: ['true'], tty: { rows: 1, columns: 2 } }).then((e) => e.wait())).signal;
for await (const { atNs, bytes } of await box.logs({ follow: true, tail: 3 })) {
  const at: bigint = atNs;
  bytes.toString(String(at) as BufferEncoding);
}
for await (const event of runtime.events()) {
  if (event.type === 'exec_completed' && event.status.oomKilled) {
    break;
  }
}

try {
  await new CodeBox({ runtime }).run('print()');
  await new SimpleBox({ image: 'a', reuseExisting: true }).exec('a', ['b'], { C: 'd' }, { timeoutSecs: 1 });
  await new InteractiveBox({ shell: 'sh', tty: false }).start();
} catch (error) {
  if (error instanceof ExecError) {
    error.stderr.trim();
  } else if (error instanceof BoxliteError) {
    const code: ErrorCode = error.code;
    const number: number = ErrorNumber[code] + error.status;
    const fields: [string | undefined, string | undefined, boolean] = [error.context['box'], error.hint, error.retryable];
    console.log(number, fields, error instanceof NotFoundError);
  }
}

// @ts-expect-error: an option that is not there.
await runtime.create({ image: 'a', ports: [] });
// @ts-expect-error: a policy that is not there.
await runtime.images.pull('a', { policy: 'sometimes' });
// @ts-expect-error: nothing replaces it.
runtime.images = runtime.images;

console.log(created, running, status, signal);
