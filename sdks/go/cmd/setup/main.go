// Command setup installs the native library of BoxLite where the Go module that uses it is built.
//
//	go get github.com/boxlite-ai/boxlite/sdks/go
//	go run github.com/boxlite-ai/boxlite/sdks/go/cmd/setup
//	go build
//
// It puts libboxlite.a and include/boxlite.h into the directory of the module version in use: in the module cache, or
// below vendor. With -prefix they go elsewhere, and the CGO_* settings that find them are printed.
//
// The archive they come from is named, and its SHA-256 pinned, by checksums.txt, which is part of the module: an archive
// that is not the one that was released with this version is refused, wherever it comes from. BOXLITE_ARTIFACT names a
// file, a directory or a URL to take it from instead of the place of releases; BOXLITE_ARTIFACT_SHA256 pins another
// archive, for those who build the library themselves.
//
// Invariant: after any failure the directory is as it was before, modes included.
//
// It needs neither cgo nor the library itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
)

func main() {
	// An interrupted run takes back what it did, as a failed one does.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "error:", err)
		var told *problem
		if errors.As(err, &told) && told.hint != "" {
			fmt.Fprintln(os.Stderr, "hint:", told.hint)
		}
		os.Exit(1)
	}
}

// run is the whole command: settings go to stdout, talk goes to stderr.
func run(ctx context.Context, arguments []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("setup", flag.ContinueOnError)
	flags.SetOutput(stderr)
	prefix := flags.String("prefix", "", "install below `DIR` instead, and print the CGO_* settings that find it")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "Installs the native library for the BoxLite module version in use.")
		fmt.Fprintln(stderr, "\nBOXLITE_ARTIFACT         file, directory or URL to take the archive from")
		fmt.Fprintln(stderr, "BOXLITE_ARTIFACT_SHA256  SHA-256 of an archive other than the one that was released")
		fmt.Fprintln(stderr)
		flags.PrintDefaults()
	}
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return problemf(errUsage, "unexpected argument %q", flags.Arg(0)).hinted("see -help")
	}
	platform, err := platformName(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return err
	}
	pins, err := parsePins(pinnedChecksums)
	if err != nil {
		return err
	}
	wanted, err := chooseArtifact(pins, platform, os.Getenv(artifactVariable), os.Getenv(artifactSHA256Variable))
	if err != nil {
		return err
	}
	if *prefix != "" {
		return setUpPrefix(ctx, wanted, *prefix, stdout, stderr)
	}
	module, err := findModule(ctx)
	if err != nil {
		return err
	}
	if err := module.checkVersion(ownVersion()); err != nil {
		return err
	}
	return install(ctx, wanted, moduleLayout(module.Dir), stderr)
}

// setUpPrefix installs outside the module, and prints what makes cgo look there.
func setUpPrefix(ctx context.Context, wanted artifact, prefix string, stdout, stderr io.Writer) error {
	directory, err := filepath.Abs(prefix)
	if err != nil {
		return err
	}
	made, err := makeDirectories(directory)
	if err != nil {
		err = problemf(errReadOnly, "cannot make the directory: %w", err)
	} else {
		err = install(ctx, wanted, prefixLayout(directory), stderr)
	}
	if err != nil {
		for _, directory := range slices.Backward(made) {
			os.Remove(directory)
		}
		return err
	}
	return printSettings(stdout, directory, os.Getenv("CGO_CFLAGS"), os.Getenv("CGO_LDFLAGS"))
}

// makeDirectories makes a directory and what is missing above it, as os.MkdirAll does. It returns what it made, and nobody
// else did meanwhile, the topmost first.
func makeDirectories(directory string) (made []string, err error) {
	err = os.Mkdir(directory, 0o755)
	if above := filepath.Dir(directory); errors.Is(err, fs.ErrNotExist) && above != directory {
		if made, err = makeDirectories(above); err != nil {
			return made, err
		}
		err = os.Mkdir(directory, 0o755)
	}
	switch {
	case err == nil:
		return append(made, directory), nil
	case errors.Is(err, fs.ErrExist):
		return made, nil
	default:
		return made, err
	}
}
