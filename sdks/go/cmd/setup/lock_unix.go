//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// lockDirectory waits until no other setup works on the directory. The lock is on the directory itself: no file is left
// behind, and the kernel takes it back from a process that dies.
func lockDirectory(ctx context.Context, directory string, stderr io.Writer) (unlock func(), err error) {
	handle, err := os.Open(directory)
	if err != nil {
		return nil, problemf(errReadOnly, "cannot open %s: %w", directory, err)
	}
	locked := make(chan error, 1)
	go func() { locked <- flock(handle) }()
	select {
	case <-ctx.Done():
		// The waiting thread keeps the handle; the process is about to end.
		return nil, ctx.Err()
	case err = <-locked:
	}
	switch {
	case err == nil:
	case errors.Is(err, syscall.EBADF), errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOTSUP):
		// As on some network filesystems, which lock only files that are open for writing.
		fmt.Fprintf(stderr, "note: %s cannot be locked; do not run two setups at once\n", directory)
	default:
		handle.Close()
		return nil, problemf(errReadOnly, "cannot lock %s: %w", directory, err)
	}
	return func() { handle.Close() }, nil
}

func flock(handle *os.File) error {
	for {
		err := syscall.Flock(int(handle.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
