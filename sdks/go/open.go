package boxlite

/*
#include <stdlib.h>
#include "library.h"
*/
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"unsafe"
)

// checkLibrary compares the library that is linked with the header this package was compiled with.
func checkLibrary() error {
	return compareLibrary(uint32(C.boxlite_abi_version()), LibraryBuild())
}

func compareLibrary(interfaceVersion uint32, build string) error {
	if interfaceVersion == C.BOXLITE_ABI_VERSION && build == C.BOXLITE_BUILD_ID {
		return nil
	}
	return &Error{
		Code: ErrUnsupported,
		Message: fmt.Sprintf("the native library is build %s with interface %d, but its header is of build %s with interface %d",
			build, interfaceVersion, C.BOXLITE_BUILD_ID, uint32(C.BOXLITE_ABI_VERSION)),
		Operation: "runtime.open",
		Hint:      "install both for this version: go run github.com/boxlite-ai/boxlite/sdks/go/cmd/setup",
	}
}

// LibraryVersion returns the version of the native library that is linked, as `1.2.3`.
func LibraryVersion() string { return C.GoString(C.boxlite_version()) }

// LibraryBuild returns the version of the native library and the fingerprint of its header.
func LibraryBuild() string { return C.GoString(C.boxlite_build_id()) }

// open opens a home on the queue of n.
func (n *native) open(ctx context.Context, config runtimeConfig) error {
	options, err := config.native()
	if err != nil {
		return err
	}
	defer C.boxlite_runtime_options_free(options)
	begin := func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_runtime_open(options, operation, failure)
	}
	take := func(operation *C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_operation_take_runtime(operation, &n.runtime, failure)
	}
	return n.call(ctx, "runtime.open", begin, take)
}

// native makes the options object of the library.
func (c runtimeConfig) native() (*C.boxlite_runtime_options, error) {
	var options *C.boxlite_runtime_options
	var failure *C.boxlite_error
	if C.boxlite_runtime_options_new(&options, &failure) != C.BOXLITE_OK {
		return nil, takeError(failure)
	}
	if err := c.fill(options); err != nil {
		C.boxlite_runtime_options_free(options)
		return nil, err
	}
	return options, nil
}

func (c runtimeConfig) fill(options *C.boxlite_runtime_options) error {
	text := func(value string, set func(*C.char, **C.boxlite_error) C.boxlite_status) error {
		if value == "" {
			return nil
		}
		encoded, err := newText(value)
		if err != nil {
			return err
		}
		defer runtime.KeepAlive(encoded)
		return check(func(failure **C.boxlite_error) C.boxlite_status { return set(encoded.pointer(), failure) })
	}
	steps := []error{
		text(c.home, func(home *C.char, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_options_set_home(options, home, failure)
		}),
		text(c.dockerConfig, func(file *C.char, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_options_set_docker_config(options, file, failure)
		}),
		text(c.qemu, func(program *C.char, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_options_set_qemu(options, program, failure)
		}),
		text(c.kernel, func(release *C.char, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_options_set_kernel(options, release, failure)
		}),
		check(func(failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_options_set_accelerator(options, C.uint32_t(c.accelerator), failure)
		}),
		check(func(failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_options_set_spare_machine(options, C.bool(c.spareMachine), failure)
		}),
	}
	if c.attempts != 0 {
		steps = append(steps, check(func(failure **C.boxlite_error) C.boxlite_status {
			delay := C.uint64_t(max(c.retryDelay.Milliseconds(), 0))
			return C.boxlite_runtime_options_set_retry(options, C.uint32_t(max(c.attempts, 0)), delay, failure)
		}))
	}
	if c.parallelLayers != 0 {
		steps = append(steps, check(func(failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_options_set_parallel_layers(options, C.size_t(max(c.parallelLayers, 0)), failure)
		}))
	}
	for _, registry := range c.registries {
		steps = append(steps, registry.add(options))
	}
	for _, err := range steps {
		if err != nil {
			return err
		}
	}
	return nil
}

func (r ImageRegistry) add(options *C.boxlite_runtime_options) error {
	known := C.boxlite_registry{size: C.sizeof_boxlite_registry}
	switch r.Transport {
	case "", TransportHTTPS:
	case TransportHTTP:
		known.transport = C.BOXLITE_TRANSPORT_HTTP
	default:
		return &Error{Code: ErrInvalidArgument, Message: fmt.Sprintf("there is no transport %q", string(r.Transport)), Operation: "runtime.open"}
	}
	if r.SkipVerify {
		known.skip_verify = 1
	}
	if r.Search {
		known.search = 1
	}
	// In C's own memory: a struct that is passed to C must not point to Go's.
	for field, value := range map[**C.char]string{
		&known.host: r.Host, &known.ca_file: r.CAFile, &known.username: r.Auth.Username,
		&known.password: r.Auth.Password, &known.bearer_token: r.Auth.BearerToken,
		&known.identity_token: r.Auth.IdentityToken,
	} {
		if value != "" {
			*field = C.CString(value)
			defer C.free(unsafe.Pointer(*field))
		}
	}
	return check(func(failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_runtime_options_add_registry(options, &known, failure)
	})
}

// check makes an error of a call that is over at once.
func check(call func(failure **C.boxlite_error) C.boxlite_status) error {
	var failure *C.boxlite_error
	if call(&failure) != C.BOXLITE_OK {
		return takeError(failure)
	}
	return nil
}
