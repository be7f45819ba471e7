package main

import (
	"errors"
	"fmt"
)

// What can be wrong, each with a message of its own; tests and callers tell them apart with errors.Is.
var (
	errUsage          = errors.New("wrong usage")
	errPlatform       = errors.New("unsupported platform")
	errNoModule       = errors.New("module not found")
	errVersion        = errors.New("version mismatch")
	errNoPin          = errors.New("no checksum pinned")
	errFetch          = errors.New("archive not fetched")
	errChecksum       = errors.New("wrong checksum")
	errArchive        = errors.New("malformed archive")
	errMissingLibrary = errors.New("library missing in archive")
	errMissingHeader  = errors.New("header missing in archive")
	errReadOnly       = errors.New("directory cannot be written")
)

// problem is a failure a person reads: one line that says what, and one that says what to do.
type problem struct {
	kind error
	text error
	hint string
}

func problemf(kind error, format string, arguments ...any) *problem {
	return &problem{kind: kind, text: fmt.Errorf(format, arguments...)}
}

func (p *problem) hinted(format string, arguments ...any) *problem {
	p.hint = fmt.Sprintf(format, arguments...)
	return p
}

func (p *problem) Error() string   { return p.text.Error() }
func (p *problem) Unwrap() []error { return []error{p.kind, p.text} }
