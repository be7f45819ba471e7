package boxlite

/*
#include "library.h"
*/
import "C"

import (
	"context"
	"encoding/json"
	"runtime"
)

// Create makes a box of an image that is in the store. Nothing runs yet, and nothing but a row is written.
//
// It fails with ErrInvalidArgument for what a box cannot be, ErrNotFound if the image is not in the store, ErrAlreadyExists
// if the name is taken.
func (r *Runtime) Create(ctx context.Context, image string, options ...BoxOption) (*Box, error) {
	defer runtime.KeepAlive(r)
	spec := BoxSpec{Resources: defaultResources()}
	for _, option := range options {
		option.applyBox(&spec)
	}
	spec.Image = image
	how, err := spec.native()
	if err != nil {
		return nil, err
	}
	defer C.boxlite_box_options_free(how)
	return r.native.takeBox(ctx, "runtime.create",
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_create(r.native.runtime, nil, how, operation, failure)
		})
}

// Get finds a box by its name, its id or a unique prefix of its id.
//
// It fails with ErrNotFound, or with ErrInvalidArgument if several ids begin like that.
func (r *Runtime) Get(ctx context.Context, name string) (*Box, error) {
	defer runtime.KeepAlive(r)
	text, err := newText(name)
	if err != nil {
		return nil, err
	}
	return r.native.takeBox(ctx, "runtime.get",
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_get(r.native.runtime, text.pointer(), operation, failure)
		})
}

// List returns all boxes of the home, newest first, as they are now: also those of other processes.
func (r *Runtime) List(ctx context.Context) ([]BoxInfo, error) {
	defer runtime.KeepAlive(r)
	var wire []wireBoxInfo
	err := r.native.callJSON(ctx, "runtime.list", &wire,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_list(r.native.runtime, operation, failure)
		})
	if err != nil {
		return nil, err
	}
	list := make([]BoxInfo, len(wire))
	for index := range wire {
		list[index] = *wire[index].public()
	}
	return list, nil
}

// Remove removes a box, found as by Get, and its disk; one that runs only if force is set, which kills it.
//
// It fails with ErrInvalidState if the box runs, ErrInUse while another process starts it.
func (r *Runtime) Remove(ctx context.Context, name string, force bool) error {
	defer runtime.KeepAlive(r)
	text, err := newText(name)
	if err != nil {
		return err
	}
	return r.native.callJSON(ctx, "runtime.remove", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_remove(r.native.runtime, text.pointer(), C.bool(force), operation, failure)
		})
}

// takeBox carries out an operation that gives a box.
func (n *native) takeBox(ctx context.Context, name string, begin begin) (*Box, error) {
	var pointer *C.boxlite_box
	var made struct{ ID string }
	err := n.call(ctx, name, begin, func(operation *C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
		if status := describe(operation, &made, failure); status != C.BOXLITE_OK {
			return status
		}
		return C.boxlite_operation_take_box(operation, &pointer, failure)
	})
	if err != nil {
		return nil, err
	}
	return newBox(n, pointer, made.ID), nil
}

// describe reads what an operation says of a handle that it gives; of one that cannot be read, nothing is known.
func describe(operation *C.boxlite_operation, into any, failure **C.boxlite_error) C.boxlite_status {
	var text *C.char
	status := C.boxlite_operation_json(operation, &text, failure)
	if status == C.BOXLITE_OK {
		_ = json.Unmarshal(borrowText(text), into)
	}
	return status
}

// native makes the options object of the library.
func (s BoxSpec) native() (*C.boxlite_box_options, error) {
	text, err := jsonText(s)
	if err != nil {
		return nil, err
	}
	var options *C.boxlite_box_options
	if err := check(func(failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_box_options_new(&options, failure)
	}); err != nil {
		return nil, err
	}
	if err := check(func(failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_box_options_set_json(options, text.pointer(), failure)
	}); err != nil {
		C.boxlite_box_options_free(options)
		return nil, err
	}
	return options, nil
}

// jsonText spells a value for the library.
func jsonText(value any) (cText, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, &Error{Code: ErrInvalidArgument, Message: err.Error(), Source: err}
	}
	// No NUL is left in JSON: it is escaped.
	return append(cText(encoded), 0), nil
}
