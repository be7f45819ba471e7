package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// transaction changes a directory that is meant not to be changed: what it does is taken back if anything fails, and the
// modes it lifted are restored in either case.
type transaction struct {
	takeBack []func() error
	settle   []func() error
}

// end takes back everything if the work failed, then puts the modes back, the last change first.
func (t *transaction) end(failure error) error {
	result := failure
	undo := func(steps []func() error) {
		for index := len(steps) - 1; index >= 0; index-- {
			if err := steps[index](); err != nil {
				result = errors.Join(result, fmt.Errorf("while putting things back: %w", err))
			}
		}
	}
	if failure != nil {
		undo(t.takeBack)
	}
	undo(t.settle)
	return result
}

// makeWritable lets the owner write to a directory until the end, and tells whether it was read-only, as all of the
// module cache is.
func (t *transaction) makeWritable(directory string) (readOnly bool, err error) {
	info, err := os.Stat(directory)
	if err != nil {
		return false, err
	}
	mode := info.Mode().Perm()
	if mode&0o200 != 0 {
		return false, nil
	}
	if err := os.Chmod(directory, mode|0o200); err != nil {
		return true, cannotWrite(directory, err)
	}
	t.settle = append(t.settle, func() error { return os.Chmod(directory, mode) })
	return true, nil
}

// stage makes a directory for what is not in its place yet, on the same filesystem, so that it can be renamed.
func (t *transaction) stage(root string) (string, error) {
	staging, err := os.MkdirTemp(root, ".boxlite-setup-")
	if err != nil {
		return "", cannotWrite(root, err)
	}
	t.settle = append(t.settle, func() error { return os.RemoveAll(staging) })
	return staging, nil
}

// place renames a staged file to its place, making its directory.
func (t *transaction) place(staged, target string, mode fs.FileMode, staging string) error {
	directory := filepath.Dir(target)
	if err := t.makeDirectory(directory, mode); err != nil {
		return err
	}
	if _, err := t.makeWritable(directory); err != nil {
		return err
	}
	if err := os.Chmod(staged, mode); err != nil {
		return err
	}
	kept := filepath.Join(staging, "kept-"+filepath.Base(target))
	switch err := os.Link(target, kept); {
	case err == nil:
		t.takeBack = append(t.takeBack, func() error { return os.Rename(kept, target) })
	case errors.Is(err, fs.ErrNotExist):
		t.takeBack = append(t.takeBack, func() error {
			if err := os.Remove(target); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		})
	default:
		return cannotWrite(directory, err)
	}
	if err := os.Rename(staged, target); err != nil {
		return cannotWrite(directory, err)
	}
	return nil
}

// makeDirectory makes a directory whose mode in the end goes with that of the files in it.
func (t *transaction) makeDirectory(directory string, fileMode fs.FileMode) error {
	err := os.Mkdir(directory, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return cannotWrite(filepath.Dir(directory), err)
	}
	t.takeBack = append(t.takeBack, func() error { return os.Remove(directory) })
	t.settle = append(t.settle, func() error {
		// It is gone if the work failed.
		if err := os.Chmod(directory, fileMode|0o111); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	return nil
}

func cannotWrite(directory string, err error) error {
	return problemf(errReadOnly, "cannot write to %s: %w", directory, err).
		hinted("run it as the owner of that directory, or install elsewhere with -prefix")
}
