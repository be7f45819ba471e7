package boxlite

/*
#include "library.h"
*/
import "C"

import (
	"context"
	"io"
	"time"
)

// CopyOption says how files are copied.
type CopyOption interface{ applyCopy(*C.boxlite_copy_options) }

type copyOption func(*C.boxlite_copy_options)

func (o copyOption) applyCopy(options *C.boxlite_copy_options) { o(options) }

// WithoutOverwrite fails a copy with ErrAlreadyExists rather than replace a file.
func WithoutOverwrite() CopyOption {
	return copyOption(func(options *C.boxlite_copy_options) { options.keep_existing = 1 })
}

// WithFollowSymlinks copies a symbolic link that is named as the source as what it points to.
func WithFollowSymlinks() CopyOption {
	return copyOption(func(options *C.boxlite_copy_options) { options.follow_symlinks = 1 })
}

// WithOwner gives everything that is copied into a box to a user and a group, root by default.
func WithOwner(uid, gid uint32) CopyOption {
	return copyOption(func(options *C.boxlite_copy_options) {
		options.owner, options.group = C.uint32_t(uid), C.uint32_t(gid)
	})
}

// WithSourceOwner keeps the owner and group of the source.
func WithSourceOwner() CopyOption {
	return copyOption(func(options *C.boxlite_copy_options) { options.keep_owner = 1 })
}

func copyOptions(options []CopyOption) *C.boxlite_copy_options {
	how := &C.boxlite_copy_options{size: C.sizeof_boxlite_copy_options}
	for _, option := range options {
		option.applyCopy(how)
	}
	return how
}

// CopyIn copies a file or directory of the host into the box, which has to run. Where it lands follows `docker cp`: an
// existing directory takes the source under its name, anything else is the name itself; `dir/.` means the contents of
// `dir`.
//
// It fails with ErrNotFound for a source that does not exist, ErrInvalidArgument for two paths that do not go together,
// ErrAlreadyExists, ErrInvalidState if the box does not run.
func (b *Box) CopyIn(ctx context.Context, host, inside string, options ...CopyOption) error {
	from, to, err := twoTexts(host, inside)
	if err != nil {
		return err
	}
	how := copyOptions(options)
	return b.callJSON(ctx, "box.copy_in", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_copy_in(b.pointer, from.pointer(), to.pointer(), how, operation, failure)
		})
}

// CopyOut copies a file or directory of the box, which has to run, to the host, by the same rules. Everything belongs to the
// caller afterwards; device nodes are refused, set-user-id bits dropped, and no path leaves the destination, whatever the
// box sends.
func (b *Box) CopyOut(ctx context.Context, inside, host string, options ...CopyOption) error {
	from, to, err := twoTexts(inside, host)
	if err != nil {
		return err
	}
	how := copyOptions(options)
	return b.callJSON(ctx, "box.copy_out", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_copy_out(b.pointer, from.pointer(), to.pointer(), how, operation, failure)
		})
}

func twoTexts(first, second string) (cText, cText, error) {
	one, err := newText(first)
	if err != nil {
		return nil, nil, err
	}
	two, err := newText(second)
	return one, two, err
}

// PutArchive unpacks a tar archive in an existing directory of the box. It returns when all of it has been unpacked. When it
// ends before, because the context did, or the box or the runtime was stopped, a Read of the archive that goes on is not
// waited for: what it gives is thrown away.
func (b *Box) PutArchive(ctx context.Context, directory string, archive io.Reader, options ...CopyOption) error {
	text, err := newText(directory)
	if err != nil {
		return err
	}
	how := copyOptions(options)
	var writer *C.boxlite_writer
	begin := func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_box_put_archive(b.pointer, text.pointer(), how, operation, &writer, failure)
	}
	watch := func(started operation) error {
		stream := newInputStream(b.native, "archive", writer)
		defer stream.Close()
		fed := make(chan error, 1)
		go func() { fed <- feed(ctx, stream, archive) }()
		var err error
		select {
		case err = <-fed:
		case <-started.done:
		case <-ctx.Done():
		}
		if err != nil || ctx.Err() != nil {
			// To close the stream is to say that the archive is whole: not before nobody believes it any more.
			started.cancel()
			<-started.done
		}
		return err
	}
	return b.watchedCallJSON(ctx, "box.put_archive", nil, begin, watch)
}

// feed copies what comes from the caller. That nobody takes it any more is no error here: the operation knows why.
func feed(ctx context.Context, to *InputStream, from io.Reader) error {
	buffer := make([]byte, 256<<10)
	for {
		count, err := from.Read(buffer)
		if _, refused := to.WriteContext(ctx, buffer[:count]); refused != nil || err == io.EOF {
			return nil
		}
		if err != nil {
			return &Error{Code: ErrStorage, Message: "cannot read the archive: " + err.Error(), Operation: "box.put_archive", Source: err}
		}
	}
}

// GetArchive packs a file or directory of the box as a tar archive, which is whole only if reading it comes to its end
// without an error. It has to be closed.
func (b *Box) GetArchive(ctx context.Context, path string, options ...CopyOption) (*OutputStream, error) {
	text, err := newText(path)
	if err != nil {
		return nil, err
	}
	how := copyOptions(options)
	var pointer *C.boxlite_reader
	err = b.call(ctx, "box.get_archive",
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_get_archive(b.pointer, text.pointer(), how, operation, failure)
		},
		func(operation *C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_operation_take_reader(operation, &pointer, failure)
		})
	if err != nil {
		return nil, err
	}
	return newOutputStream(b.native, "archive", pointer), nil
}

// FileStat is what is at a path in a box.
type FileStat struct {
	// Mode is st_mode of Linux: the kind of file, and its permissions.
	Mode uint32 `json:"mode"`
	Size uint64 `json:"size_bytes"`
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	// ModifiedAtNanoseconds counts from the Unix epoch.
	ModifiedAtNanoseconds int64 `json:"modified_ns"`
	// LinkTarget is set for a symbolic link.
	LinkTarget string `json:"link_target"`
}

// ModifiedAt returns when it was last modified.
func (s FileStat) ModifiedAt() time.Time { return time.Unix(0, s.ModifiedAtNanoseconds) }

// Stat looks up what is at an absolute path in the box, which has to run.
func (b *Box) Stat(ctx context.Context, path string, options ...CopyOption) (*FileStat, error) {
	text, err := newText(path)
	if err != nil {
		return nil, err
	}
	follow := copyOptions(options).follow_symlinks != 0
	var stat FileStat
	err = b.callJSON(ctx, "box.stat", &stat,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_stat(b.pointer, text.pointer(), C.bool(follow), operation, failure)
		})
	if err != nil {
		return nil, err
	}
	return &stat, nil
}
