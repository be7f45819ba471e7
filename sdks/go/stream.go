package boxlite

/*
#include "library.h"
*/
import "C"

import (
	"context"
	"io"
	"runtime"
	"sync"
	"unsafe"
)

// writeBytes is the most that goes into one operation of a Write: the library copies it.
const writeBytes = 1 << 20

// copyBytes is what is read at a time when everything is copied: as much as the library reads ahead.
const copyBytes = 256 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBytes]byte) }}

const (
	readOperation  = "execution.read"
	writeOperation = "execution.write"
)

// OutputStream is the stdout or stderr of a command, or an archive out of a box.
//
// A Read ends without an error, with io.EOF, only if everything there was has been read; it fails with ErrStopped if the box
// or the runtime stopped first. One Read is carried out after the other.
type OutputStream struct {
	handle
	pointer *C.boxlite_reader
	reading sync.Mutex
	// refused is why there is no stream.
	refused error
}

func newOutputStream(n *native, noun string, pointer *C.boxlite_reader) *OutputStream {
	stream := &OutputStream{handle: newHandle(n, noun), pointer: pointer}
	runtime.AddCleanup(stream, func(pointer *C.boxlite_reader) { C.boxlite_reader_free(pointer) }, pointer)
	return stream
}

// Read reads what is there, and waits if there is nothing yet. Close makes a Read that waits return.
func (s *OutputStream) Read(buffer []byte) (int, error) {
	return s.ReadContext(context.Background(), buffer)
}

// ReadContext is Read until the context ends. Nothing is lost then: the next Read goes on where this one would have.
func (s *OutputStream) ReadContext(ctx context.Context, buffer []byte) (int, error) {
	if len(buffer) == 0 {
		return 0, nil
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	for {
		count, pending, err := s.try(buffer)
		if !pending {
			return count, err
		}
		if err := s.wait(ctx); err != nil {
			return 0, err
		}
	}
}

// WriteTo writes everything to its end, as io.Copy does. While nothing comes it holds no memory.
func (s *OutputStream) WriteTo(to io.Writer) (int64, error) {
	total := int64(0)
	for {
		buffer := copyBuffers.Get().(*[copyBytes]byte)
		s.reading.Lock()
		count, pending, err := s.try(buffer[:])
		s.reading.Unlock()
		if count > 0 {
			count, err = to.Write(buffer[:count])
			total += int64(count)
		}
		copyBuffers.Put(buffer)
		if pending {
			s.reading.Lock()
			err = s.wait(context.Background())
			s.reading.Unlock()
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// try reads what is there. If nothing is, it is pending.
func (s *OutputStream) try(buffer []byte) (count int, pending bool, err error) {
	defer runtime.KeepAlive(s)
	// A dead runtime comes before whatever else is wrong.
	if err := s.usable(readOperation); err != nil {
		return 0, false, err
	}
	if s.refused != nil {
		return 0, false, s.refused
	}
	var length C.size_t
	var failure *C.boxlite_error
	start := (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(buffer)))
	switch C.boxlite_reader_read(s.pointer, 0, start, C.size_t(len(buffer)), &length, &failure) {
	case C.BOXLITE_OK:
		if length == 0 {
			return 0, false, io.EOF
		}
		return int(length), false, nil
	case C.BOXLITE_TIMEOUT:
		C.boxlite_error_free(failure)
		return 0, true, nil
	default:
		return 0, false, s.explain(s.native.explain(takeError(failure), readOperation), readOperation)
	}
}

// wait waits until a read would not wait.
func (s *OutputStream) wait(ctx context.Context) error {
	defer runtime.KeepAlive(s)
	begin := func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_reader_ready(s.pointer, operation, failure)
	}
	done := func(operation *C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_operation_wait(operation, 0, failure)
	}
	err := s.native.watchedCall(ctx, readOperation, begin, untilClosed(ctx, s.closing), done)
	return s.explain(err, readOperation)
}

// Close ends the reading, also for a Read that waits. The command does not notice: what it still prints is thrown away.
func (s *OutputStream) Close() error {
	return s.close(func() { C.boxlite_reader_free(s.pointer) })
}

// InputStream is the stdin of a command.
type InputStream struct {
	handle
	pointer *C.boxlite_writer
	// refused is why there is no stream.
	refused error
}

func newInputStream(n *native, noun string, pointer *C.boxlite_writer) *InputStream {
	stream := &InputStream{handle: newHandle(n, noun), pointer: pointer}
	runtime.AddCleanup(stream, func(pointer *C.boxlite_writer) { C.boxlite_writer_free(pointer) }, pointer)
	return stream
}

// Write writes all of the bytes, and returns when the other side has room for them. It fails with ErrInvalidState if nobody
// reads them any more.
func (s *InputStream) Write(bytes []byte) (int, error) {
	return s.WriteContext(context.Background(), bytes)
}

// WriteContext is Write until the context ends; part of the bytes may have been written then.
func (s *InputStream) WriteContext(ctx context.Context, bytes []byte) (int, error) {
	defer runtime.KeepAlive(s)
	written := 0
	for {
		if err := s.usable(writeOperation); err != nil {
			return written, err
		}
		if s.refused != nil {
			return written, s.refused
		}
		piece := bytes[written:min(len(bytes), written+writeBytes)]
		if len(piece) == 0 {
			return written, nil
		}
		begin := func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			start := (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(piece)))
			return C.boxlite_writer_write(s.pointer, start, C.size_t(len(piece)), operation, failure)
		}
		done := func(operation *C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_operation_wait(operation, 0, failure)
		}
		if err := s.native.call(ctx, writeOperation, begin, done); err != nil {
			return written, s.explain(err, writeOperation)
		}
		written += len(piece)
	}
}

// Close is the end of what is written, after everything that was written before.
func (s *InputStream) Close() error {
	return s.close(func() { C.boxlite_writer_free(s.pointer) })
}
