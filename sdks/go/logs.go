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
	"time"
)

// LogOption says which part of a log is wanted.
type LogOption interface{ applyLog(*logConfig) }

type logConfig struct {
	follow bool
	tail   int64
}

type logOption func(*logConfig)

func (o logOption) applyLog(config *logConfig) { o(config) }

// WithFollow waits for more until the box stops.
func WithFollow() LogOption {
	return logOption(func(config *logConfig) { config.follow = true })
}

// WithTail starts with the last so many lines, instead of the first one that is kept.
func WithTail(lines int) LogOption {
	return logOption(func(config *logConfig) { config.tail = int64(max(lines, 0)) })
}

// LogEntry is a piece of a log; pieces end where the command's writes did, not at lines.
type LogEntry struct {
	// AtNanoseconds is when it was printed, from the Unix epoch.
	AtNanoseconds int64 `json:"at_ns"`
	// Source is stdout, also of a terminal, or stderr.
	Source string `json:"source"`
	Bytes  []byte `json:"bytes"`
}

// At returns when it was printed.
func (e LogEntry) At() time.Time { return time.Unix(0, e.AtNanoseconds) }

// Logs is the log of a box, oldest piece first. It has to be closed.
type Logs struct {
	handle
	pointer *C.boxlite_logs
}

// Logs reads what the main command of the box printed, whether the box runs or not.
func (b *Box) Logs(ctx context.Context, options ...LogOption) (*Logs, error) {
	config := logConfig{tail: -1}
	for _, option := range options {
		option.applyLog(&config)
	}
	var pointer *C.boxlite_logs
	err := b.call(ctx, "box.logs",
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_logs(b.pointer, C.int64_t(config.tail), C.bool(config.follow), operation, failure)
		},
		func(operation *C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_operation_take_logs(operation, &pointer, failure)
		})
	if err != nil {
		return nil, err
	}
	stream := &Logs{newHandle(b.native, "log stream"), pointer}
	runtime.AddCleanup(stream, func(pointer *C.boxlite_logs) { C.boxlite_logs_free(pointer) }, pointer)
	return stream, nil
}

// Next waits for the next piece; io.EOF follows the last one.
func (s *Logs) Next(ctx context.Context) (*LogEntry, error) {
	var entry *LogEntry
	err := s.next(ctx, "logs.next", &entry,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_logs_next(s.pointer, operation, failure)
		})
	if err == nil && entry == nil {
		err = io.EOF
	}
	return entry, err
}

// All ranges over the pieces that are still to come. An error is the last one.
func (s *Logs) All(ctx context.Context) iter.Seq2[*LogEntry, error] { return all(ctx, s.Next) }

// Close ends the reading.
func (s *Logs) Close() error {
	return s.close(func() { C.boxlite_logs_free(s.pointer) })
}

// all ranges over what next gives until io.EOF.
func all[T any](ctx context.Context, next func(context.Context) (*T, error)) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for {
			value, err := next(ctx)
			if err == io.EOF || !yield(value, err) || err != nil {
				return
			}
		}
	}
}
