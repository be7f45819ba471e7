package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// The go command's own defaults, which a variable that is set replaces.
const (
	defaultCFlags  = "-O2 -g"
	defaultLDFlags = "-O2 -g"
)

// printSettings prints shell commands that add a prefix to the settings cgo has, or would have.
func printSettings(stdout io.Writer, prefix, cFlags, ldFlags string) error {
	if strings.ContainsAny(prefix, "'\"\n") {
		return problemf(errUsage, "cgo cannot be told of a directory with quotes in its name: %s", prefix)
	}
	if cFlags == "" {
		cFlags = defaultCFlags
	}
	if ldFlags == "" {
		ldFlags = defaultLDFlags
	}
	add := func(flags, flag, directory string) string {
		added := flag + filepath.Join(prefix, directory)
		if strings.ContainsAny(added, " \t") {
			added = `"` + added + `"`
		}
		if strings.Contains(flags, added) {
			return flags
		}
		return flags + " " + added
	}
	quote := func(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
	_, err := fmt.Fprintf(stdout, "export CGO_CFLAGS=%s\nexport CGO_LDFLAGS=%s\n",
		quote(add(cFlags, "-I", "include")), quote(add(ldFlags, "-L", "lib")))
	return err
}
