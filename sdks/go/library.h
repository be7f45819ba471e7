/* The header of the native library, or the way to it. */
#if defined(__has_include)
#if !__has_include("boxlite.h")
#error "the native library of BoxLite is not installed: go run github.com/boxlite-ai/boxlite/sdks/go/cmd/setup"
#endif
#endif
#include "boxlite.h"
