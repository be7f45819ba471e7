// The same types for `require`.

import boxlite = require('@boxlite-ai/boxlite');

const runtime: boxlite.Boxlite = new boxlite.JsBoxlite({ homeDir: '/tmp' });
const images: boxlite.Images = runtime.images;
void images.list().then((all: boxlite.ImageInfo[]) => all.length);
void runtime.shutdown(1).catch((error: unknown) => error instanceof boxlite.TimeoutError && error.code === 'Timeout');
