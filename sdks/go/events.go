package boxlite

/*
#include "library.h"
*/
import "C"

import (
	"context"
	"io"
	"iter"
	"runtime"
)

// Event is something that happened in a runtime. Type says which of the fields are set.
type Event struct {
	// Type is pull, box_created, box_starting, box_stage, box_started, box_stopped, box_removed, exec_started,
	// exec_completed, file_copied_in or file_copied_out.
	Type string `json:"type"`
	// ID is the box; set by all but pull.
	ID string `json:"id"`
	// Stage is a step of a start: kernel, accelerator, template, shim, machine or root; set by box_starting and box_stage.
	Stage string `json:"stage"`
	// ElapsedMicroseconds is how long it took; set by box_stage and box_started.
	ElapsedMicroseconds uint64 `json:"elapsed_us"`
	// ExitCode is set by box_stopped.
	ExitCode *int `json:"exit_code"`
	// Program is set by exec_started.
	Program string `json:"program"`
	// Status is set by exec_completed.
	Status *ExitStatus `json:"status"`
	// Path is set by file_copied_in and file_copied_out.
	Path string `json:"path"`
	// Reference is set by pull, as it was asked for.
	Reference string `json:"reference"`
	// Pull is set by pull.
	Pull *PullEvent `json:"event"`
}

// Events is what happens in a runtime from the moment it was made. It has to be closed.
//
// Nothing waits for it: one that is more than 1,024 events behind has lost the oldest ones.
type Events struct {
	handle
	pointer *C.boxlite_events
}

// Events listens to what happens in the runtime from now on.
func (r *Runtime) Events() (*Events, error) {
	defer runtime.KeepAlive(r)
	if r.native.isStopping() {
		return nil, stopped("runtime.events")
	}
	var pointer *C.boxlite_events
	if err := check(func(failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_runtime_events(r.native.runtime, &pointer, failure)
	}); err != nil {
		return nil, r.native.explain(err, "runtime.events")
	}
	stream := &Events{newHandle(r.native, "event stream"), pointer}
	runtime.AddCleanup(stream, func(pointer *C.boxlite_events) { C.boxlite_events_free(pointer) }, pointer)
	return stream, nil
}

// Next waits for the next event; io.EOF follows the last one, when the runtime is shut down. What the shutdown itself made
// happen, as the end of boxes, is told before that, also to who asks only afterwards.
func (s *Events) Next(ctx context.Context) (*Event, error) {
	var event *Event
	err := s.next(ctx, nextOperation, &event, s.begin)
	if IsStopped(err) {
		event, err = s.rest(ctx)
	}
	if err == nil && event == nil {
		return nil, io.EOF
	}
	return event, err
}

const nextOperation = "events.next"

func (s *Events) begin(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
	return C.boxlite_events_next(s.pointer, operation, failure)
}

// rest gives the next event of a runtime that refuses everything else, or nil after the last one. It waits until the
// shutdown is over: the library answers at once then, and is asked directly, since nobody drains the queue any more.
func (s *Events) rest(ctx context.Context) (*Event, error) {
	defer runtime.KeepAlive(s)
	if ctx.Err() != nil {
		return nil, cancelled(ctx, nextOperation)
	}
	select {
	case <-s.native.ended:
	case <-ctx.Done():
		return nil, cancelled(ctx, nextOperation)
	case <-s.closing:
		return nil, nil
	}
	var next operation
	if s.begin(&next.handle, nil) != C.BOXLITE_OK {
		// It is closed.
		return nil, nil
	}
	defer next.free()
	// Bounded for work that a shutdown past its deadline gave up, which may hold on to the stream.
	if C.boxlite_operation_wait(next.handle, C.int64_t(shutdownGrace.Milliseconds()), nil) != C.BOXLITE_OK {
		return nil, nil
	}
	return readJSON[*Event](next)
}

// All ranges over the events that are still to come. An error is the last one.
func (s *Events) All(ctx context.Context) iter.Seq2[*Event, error] { return all(ctx, s.Next) }

// Close ends the listening.
func (s *Events) Close() error {
	return s.close(func() { C.boxlite_events_free(s.pointer) })
}
