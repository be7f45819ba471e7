package boxlite

/*
#include "library.h"
*/
import "C"

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// closeTimeout is the deadline of the shutdown that Close means.
const closeTimeout = 2 * time.Second

// shutdownTimeout is that of a Shutdown whose context has no deadline.
const shutdownTimeout = 10 * time.Second

// Runtime is the open handle to a home. It may be used by any number of goroutines; several runtimes, in one process or in
// many, may use one home at the same time.
//
// A Runtime that is collected as garbage is closed: image handles, box handles and executions do not keep it open.
type Runtime struct {
	native *native

	imagesMutex sync.Mutex
	images      *Images
}

// NewRuntime opens a home, making it if it does not exist, and settles what dead processes left behind. It takes
// milliseconds, uses no network, and locks nothing that another process needs.
//
// It fails with ErrConfig if no home is named, ErrStorage if it cannot be used, ErrDatabase if its database is damaged or
// was written by a later release.
func NewRuntime(options ...RuntimeOption) (*Runtime, error) {
	return OpenRuntime(context.Background(), options...)
}

// OpenRuntime is NewRuntime with a context that can call it off.
func OpenRuntime(ctx context.Context, options ...RuntimeOption) (*Runtime, error) {
	if err := checkLibrary(); err != nil {
		return nil, err
	}
	var config runtimeConfig
	for _, option := range options {
		option.applyRuntime(&config)
	}
	n, err := newNative()
	if err != nil {
		return nil, err
	}
	if err := n.open(ctx, config); err != nil {
		n.abandon()
		return nil, err
	}
	opened := &Runtime{native: n}
	runtime.AddCleanup(opened, func(n *native) {
		// Not on the goroutine of all cleanups, which must not wait.
		go func() { _ = n.shutdown(context.Background(), closeTimeout) }()
	}, n)
	return opened, nil
}

// Images returns the image handle: the same one each time, without any I/O. After it was closed, it is a new one.
//
// It fails with ErrStopped once the runtime is shut down.
func (r *Runtime) Images() (*Images, error) {
	defer runtime.KeepAlive(r)
	r.imagesMutex.Lock()
	defer r.imagesMutex.Unlock()
	if r.native.isStopping() {
		return nil, stopped("runtime.images")
	}
	if r.images != nil && !r.images.isClosed() {
		return r.images, nil
	}
	var handle *C.boxlite_images
	var failure *C.boxlite_error
	if C.boxlite_runtime_images(r.native.runtime, &handle, &failure) != C.BOXLITE_OK {
		return nil, r.native.explain(takeError(failure), "runtime.images")
	}
	r.images = newImages(r.native, handle)
	return r.images, nil
}

// Metrics returns what this runtime has done since it was opened.
func (r *Runtime) Metrics(ctx context.Context) (*RuntimeMetrics, error) {
	defer runtime.KeepAlive(r)
	var metrics RuntimeMetrics
	err := r.native.callJSON(ctx, "runtime.metrics", &metrics,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_metrics(r.native.runtime, operation, failure)
		})
	if err != nil {
		return nil, err
	}
	return &metrics, nil
}

// Usage measures what takes space in the home.
func (r *Runtime) Usage(ctx context.Context) (*UsageReport, error) {
	defer runtime.KeepAlive(r)
	var report UsageReport
	err := r.native.callJSON(ctx, "runtime.usage", &report,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_usage(r.native.runtime, operation, failure)
		})
	if err != nil {
		return nil, err
	}
	return &report, nil
}

// Check examines the whole home: every byte of every image, the database, the boxes and what is left of dead ones. It
// mends what it can if repair is set. What is wrong is in the report, not an error.
func (r *Runtime) Check(ctx context.Context, repair bool) (*CheckReport, error) {
	defer runtime.KeepAlive(r)
	var report CheckReport
	err := r.native.callJSON(ctx, "runtime.check", &report,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_check(r.native.runtime, C.bool(repair), operation, failure)
		})
	if err != nil {
		return nil, err
	}
	return &report, nil
}

// Doctor looks at whether boxes can run on this host, and says what to do if not.
func (r *Runtime) Doctor(ctx context.Context) (*DoctorReport, error) {
	defer runtime.KeepAlive(r)
	var report DoctorReport
	err := r.native.callJSON(ctx, "runtime.doctor", &report,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_doctor(r.native.runtime, operation, failure)
		})
	if err != nil {
		return nil, err
	}
	return &report, nil
}

// Shutdown shuts the runtime down within the deadline of the context, or ten seconds if it has none.
//
// From the call on, every new operation on the runtime and on every handle made from it fails with ErrStopped. What is
// under way is cancelled and rolls back; boxes that are not detached are stopped, and killed shortly before the deadline.
// When it returns, at most 250 ms late, every call under way has returned and nothing in this process touches the home any
// more: it can be opened again, or deleted, at once.
//
// It may be called again, and by several goroutines at once: all get the same answer, and the earliest deadline counts.
// Cancelling the context does not call it off: what has not ended by then is killed at once, whatever the deadline.
//
// It fails with ErrTimeout if something had to be given up to keep the deadline; the home is let go all the same.
func (r *Runtime) Shutdown(ctx context.Context) error {
	defer runtime.KeepAlive(r)
	timeout := shutdownTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), 0)
	}
	return r.native.shutdown(ctx, timeout)
}

// Close is a Shutdown within two seconds.
func (r *Runtime) Close() error {
	defer runtime.KeepAlive(r)
	return r.native.shutdown(context.Background(), closeTimeout)
}
