package main

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

// call is one request that is carried out.
type call struct {
	adapter *adapter
	request request
}

// operation carries out a call. It is chosen by the name of the operation.
type operation func(c *call, ctx context.Context) (any, error)

// on makes an operation of what is done with a handle of some type, and with arguments of some type. An argument that the
// type does not have is refused.
func on[H, A any](act func(ctx context.Context, c *call, handle H, arguments A) (any, error)) operation {
	return func(c *call, ctx context.Context) (any, error) {
		c.adapter.mutex.Lock()
		found, known := c.adapter.handles[c.request.On]
		c.adapter.mutex.Unlock()
		handle, fits := found.(H)
		if !known || !fits {
			return nil, wrong("%s: %q is no handle for it", c.request.Op, c.request.On)
		}
		arguments, err := argumentsOf[A](c)
		if err != nil {
			return nil, err
		}
		return act(ctx, c, handle, arguments)
	}
}

func argumentsOf[A any](c *call) (A, error) {
	var arguments A
	if len(c.request.Args) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(c.request.Args))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&arguments); err != nil {
			return arguments, wrong("%s: %v", c.request.Op, err)
		}
	}
	return arguments, nil
}

// nothing is the answer of what gives nothing.
func nothing(err error) (any, error) { return nil, err }

// handle is the answer of what makes a handle.
func handle[H any](value H, answer func(H) any) func(error) (any, error) {
	return func(err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return made{value, answer(value)}, nil
	}
}

type none struct{}

// platformArgument is a platform as text or as an object.
type platformArgument struct{ boxlite.Platform }

func (p *platformArgument) UnmarshalJSON(encoded []byte) error {
	var text string
	if json.Unmarshal(encoded, &text) != nil {
		return json.Unmarshal(encoded, &p.Platform)
	}
	// A platform that is malformed is the library's to refuse: nothing is lost on the way there.
	parts := append(bytes.SplitN([]byte(text), []byte("/"), 3), nil, nil)
	p.OS, p.Architecture, p.Variant = string(parts[0]), string(parts[1]), string(parts[2])
	return nil
}

// milliseconds is a time limit.
type milliseconds uint64

func (m milliseconds) duration() time.Duration { return time.Duration(m) * time.Millisecond }
