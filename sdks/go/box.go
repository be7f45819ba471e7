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

// stopTimeout is how long a box may take to stop by itself if nothing else is asked.
const stopTimeout = 10 * time.Second

// Box is the handle to one box. It may be used by any number of goroutines.
//
// It is a name, not a connection: it stays good across stops and starts, and any number of them may name one box. Once the
// box is removed its operations fail with ErrNotFound; once the runtime is shut down, with ErrStopped; after Close, which
// does nothing to the box itself, with ErrInvalidState.
type Box struct {
	handle
	pointer *C.boxlite_box
	id      string
}

func newBox(n *native, pointer *C.boxlite_box, id string) *Box {
	made := &Box{newHandle(n, "box handle"), pointer, id}
	runtime.AddCleanup(made, func(pointer *C.boxlite_box) { C.boxlite_box_free(pointer) }, pointer)
	return made
}

// ID returns the id of the box, which is never used again.
func (b *Box) ID() string { return b.id }

// Info returns what is known of the box now.
func (b *Box) Info(ctx context.Context) (*BoxInfo, error) {
	var wire wireBoxInfo
	err := b.callJSON(ctx, "box.info", &wire,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_inspect(b.pointer, operation, failure)
		})
	if err != nil {
		return nil, err
	}
	return wire.public(), nil
}

// Start starts the box, and its main command if it has one, whose output goes to the log. It returns when commands can run
// in it. Cancelled or failed, nothing of it runs and the box is as it was.
//
// It fails with ErrInvalidState if the box runs, ErrInUse while another process starts it, ErrUnsupported if the host lacks
// something, with what to do as the hint, ErrEngine.
func (b *Box) Start(ctx context.Context) error {
	return b.callJSON(ctx, "box.start", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_start(b.pointer, operation, failure)
		})
}

// StopOption says how a box is stopped.
type StopOption interface{ applyStop(*stopConfig) }

type stopConfig struct{ timeout time.Duration }

type stopOption func(*stopConfig)

func (o stopOption) applyStop(config *stopConfig) { o(config) }

// WithStopTimeout sets how long what runs in the box may take to end by itself before it is killed; ten seconds by default.
func WithStopTimeout(timeout time.Duration) StopOption {
	return stopOption(func(config *stopConfig) { config.timeout = timeout })
}

func stopMilliseconds(options []StopOption) C.uint64_t {
	config := stopConfig{timeout: stopTimeout}
	for _, option := range options {
		option.applyStop(&config)
	}
	return C.uint64_t(max(config.timeout.Milliseconds(), 0))
}

// Stop stops the box: it asks every process in it to end, unmounts its disk, and kills what is left after the timeout. A
// box that does not run is stopped already. When the context ends before, the box may be left running.
func (b *Box) Stop(ctx context.Context, options ...StopOption) error {
	timeout := stopMilliseconds(options)
	return b.callJSON(ctx, "box.stop", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_stop(b.pointer, timeout, operation, failure)
		})
}

// Restart stops the box as Stop does if it runs, and starts it.
func (b *Box) Restart(ctx context.Context, options ...StopOption) error {
	timeout := stopMilliseconds(options)
	return b.callJSON(ctx, "box.restart", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_restart(b.pointer, timeout, operation, failure)
		})
}

// Kill kills the box at once: what its commands had not written to its disk is lost.
func (b *Box) Kill(ctx context.Context) error {
	return b.callJSON(ctx, "box.kill", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_kill(b.pointer, operation, failure)
		})
}

// Signal sends a signal, by its number on Linux, to the process group of the main command, of which no one may be attached.
func (b *Box) Signal(ctx context.Context, signal int) error {
	return b.callJSON(ctx, "box.signal", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_signal(b.pointer, C.int32_t(signal), operation, failure)
		})
}

// Wait waits until the box has stopped, and returns its exit code: the main command's, 0 after a stop, 137 after a kill.
//
// It fails with ErrInvalidState if the box was never started.
func (b *Box) Wait(ctx context.Context) (int, error) {
	var ended struct{ Code int }
	err := b.callJSON(ctx, "box.wait", &ended,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_wait(b.pointer, operation, failure)
		})
	return ended.Code, err
}

// Detach makes the box one that outlives the process that starts it, from its next start on.
func (b *Box) Detach(ctx context.Context) error {
	return b.callJSON(ctx, "box.detach", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_detach(b.pointer, operation, failure)
		})
}

// Metrics returns what the box uses at this moment.
//
// It fails with ErrInvalidState if the box does not run, ErrTimeout if it does not answer.
func (b *Box) Metrics(ctx context.Context) (*BoxMetrics, error) {
	var metrics BoxMetrics
	err := b.callJSON(ctx, "box.metrics", &metrics,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_metrics(b.pointer, operation, failure)
		})
	if err != nil {
		return nil, err
	}
	return &metrics, nil
}

// Remove removes the box and its disk; one that runs only if force is set, which kills it.
func (b *Box) Remove(ctx context.Context, force bool) error {
	return b.callJSON(ctx, "box.remove", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_remove(b.pointer, C.bool(force), operation, failure)
		})
}

// Close closes the handle; the box goes on as it is. It may be called again, and while others use it.
func (b *Box) Close() error {
	return b.close(func() { C.boxlite_box_free(b.pointer) })
}
