package boxlite

/*
#include "library.h"
*/
import "C"

import (
	"context"
	"runtime"
	"time"
)

// PrepareOption says what is prepared for.
type PrepareOption interface{ applyPrepare(*prepareConfig) }

type prepareConfig struct {
	resources Resources
	progress  func(PrepareEvent)
}

type prepareOption func(*prepareConfig)

func (o prepareOption) applyPrepare(config *prepareConfig) { o(config) }

// PrepareEvent is a step of a preparation.
type PrepareEvent struct {
	// Stage is kernel, accelerator or template.
	Stage string `json:"stage"`
	// ElapsedMicroseconds is nil when the step begins, and how long it took when it is over.
	ElapsedMicroseconds *uint64 `json:"elapsed_us"`
}

// Elapsed returns how long a step took that is over.
func (e PrepareEvent) Elapsed() (elapsed time.Duration, over bool) {
	if e.ElapsedMicroseconds == nil {
		return 0, false
	}
	return time.Duration(*e.ElapsedMicroseconds) * time.Microsecond, true
}

// WithPrepareProgress has the steps of a preparation told while it goes on, on the goroutine that called Prepare.
func WithPrepareProgress(tell func(PrepareEvent)) PrepareOption {
	return prepareOption(func(config *prepareConfig) { config.progress = tell })
}

// Prepare does now what the first start of a box with these resources would do: kernel, accelerator, warm template.
//
// It fails with ErrUnsupported if the host lacks something, with what to do as the hint.
func (r *Runtime) Prepare(ctx context.Context, options ...PrepareOption) error {
	defer runtime.KeepAlive(r)
	config := prepareConfig{resources: defaultResources()}
	for _, option := range options {
		option.applyPrepare(&config)
	}
	how, err := BoxSpec{Resources: config.resources}.native()
	if err != nil {
		return err
	}
	defer C.boxlite_box_options_free(how)
	var watch func(operation) error
	if config.progress != nil {
		watch = func(preparation operation) error { return tellEvents(r.native, preparation, config.progress) }
	}
	begin := func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_runtime_prepare(r.native.runtime, how, operation, failure)
	}
	return r.native.watchedCallJSON(ctx, "runtime.prepare", nil, begin, watch)
}

// KernelInfo is one guest kernel of the home.
type KernelInfo struct {
	// Release is what `uname -r` prints inside.
	Release string `json:"release"`
	// Path is where it lies.
	Path string `json:"path"`
	// SizeBytes is what it takes.
	SizeBytes uint64 `json:"size_bytes"`
	// Current tells that boxes run on it when they start.
	Current bool `json:"current"`
}

// KernelSource is where a kernel comes from: the distribution's own package client, if nothing is set.
type KernelSource struct {
	// Package is a package file (`.deb`).
	Package string
	// Image is `bzImage` or `vmlinux`, and Modules the directory of its modules; instead of a package.
	Image   string
	Modules string
}

// Kernels lists the guest kernels of the home, the one installed last first.
func (r *Runtime) Kernels(ctx context.Context) ([]KernelInfo, error) {
	defer runtime.KeepAlive(r)
	var kernels []KernelInfo
	err := r.native.callJSON(ctx, "kernels.list", &kernels,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_kernels(r.native.runtime, operation, failure)
		})
	return kernels, err
}

// InstallKernel installs a guest kernel into the home; the host's own is not touched.
func (r *Runtime) InstallKernel(ctx context.Context, source KernelSource) (*KernelInfo, error) {
	defer runtime.KeepAlive(r)
	const name = "kernels.install"
	file := source.Package
	if source.Image != "" {
		file = source.Image
	}
	if (source.Image == "") != (source.Modules == "") || source.Package != "" && source.Image != "" {
		return nil, &Error{Code: ErrInvalidArgument, Message: "a kernel comes from a package, or from an image with its modules", Operation: name}
	}
	from, err := optionalText(file)
	if err != nil {
		return nil, err
	}
	modules, err := optionalText(source.Modules)
	if err != nil {
		return nil, err
	}
	var installed KernelInfo
	err = r.native.callJSON(ctx, name, &installed,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_install_kernel(r.native.runtime, from.pointer(), modules.pointer(), operation, failure)
		})
	if err != nil {
		return nil, err
	}
	return &installed, nil
}
