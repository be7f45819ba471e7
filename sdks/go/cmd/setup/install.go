package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// layout says where the two files go below a directory.
type layout struct {
	root    string
	library string
	header  string
}

// moduleLayout is what the cgo directives of the package expect in its own directory.
func moduleLayout(root string) layout {
	return layout{root, filepath.Join(root, "libboxlite.a"), filepath.Join(root, "include", "boxlite.h")}
}

// prefixLayout is the usual one of a library outside the module.
func prefixLayout(root string) layout {
	return layout{root, filepath.Join(root, "lib", "libboxlite.a"), filepath.Join(root, "include", "boxlite.h")}
}

// holds tells whether both files are there with these checksums.
func (l layout) holds(library, header sha256Hex) bool {
	return library != "" && header != "" && fileSum(l.header) == header && fileSum(l.library) == library
}

// install puts the library and the header of an archive in their places: both, or none.
func install(ctx context.Context, wanted artifact, to layout, stderr io.Writer) (err error) {
	unlock, err := lockDirectory(ctx, to.root, stderr)
	if err != nil {
		return err
	}
	defer unlock()
	if to.holds(wanted.pin.library, wanted.pin.header) {
		fmt.Fprintln(stderr, "nothing to do: the library is installed in", to.root)
		return nil
	}
	archive, err := wanted.fetch(ctx, stderr)
	if err != nil {
		return err
	}
	defer archive.Close()

	work := &transaction{}
	defer func() { err = work.end(err) }()
	readOnly, err := work.makeWritable(to.root)
	if err != nil {
		return err
	}
	staging, err := work.stage(to.root)
	if err != nil {
		return err
	}
	files, err := unpack(ctx, archive, wanted.pin, staging)
	if err != nil {
		return err
	}
	if to.holds(files.librarySum, files.headerSum) {
		fmt.Fprintln(stderr, "nothing to do: the library is installed in", to.root)
		return nil
	}
	mode := fs.FileMode(0o644)
	if readOnly {
		mode = 0o444
	}
	// The header first: an end between the two leaves a build that fails for lack of a library, not one that is wrong.
	if err := work.place(files.header, to.header, mode, staging); err != nil {
		return err
	}
	if err := work.place(files.library, to.library, mode, staging); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "installed %s and %s\n", to.library, to.header)
	return nil
}
