package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"runtime/debug"
	"strings"
)

// module is the version of this module that the program in the current directory is built with.
type module struct {
	Dir     string
	Version string
	Main    bool
	Replace *struct{ Dir string }
}

// findModule asks the go command, which alone knows about replacements, workspaces and vendoring.
func findModule(ctx context.Context) (module, error) {
	notFound := func(err error) error {
		return problemf(errNoModule, "the module %s is not used here: %w", modulePath, err).
			hinted("run it in the directory of your own module, after `go get %s`; or install elsewhere with -prefix", modulePath)
	}
	listed, err := goList(ctx, "-m", "-json", modulePath)
	if err != nil {
		return module{}, notFound(err)
	}
	var found module
	if err := json.Unmarshal(listed, &found); err != nil {
		return module{}, notFound(err)
	}
	if found.Dir == "" {
		// A vendored module has no directory of its own to tell, but its packages have.
		directory, err := goList(ctx, "-find", "-f", "{{.Dir}}", modulePath)
		if err != nil {
			return module{}, notFound(err)
		}
		found.Dir = strings.TrimSpace(string(directory))
	}
	if found.Dir == "" {
		return module{}, problemf(errNoModule, "the module %s has not been downloaded", modulePath).
			hinted("run `go mod download %s`", modulePath)
	}
	return found, nil
}

func goList(ctx context.Context, arguments ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "go", append([]string{"list"}, arguments...)...)
	output, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if told := bytes.TrimSpace(exit.Stderr); len(told) > 0 {
			return nil, errors.New(string(told))
		}
	}
	return output, err
}

// checkVersion refuses to install the library of one version into the directory of another, as `go run .../setup@v1` in
// a program that uses v2 would.
func (m module) checkVersion(own string) error {
	local := m.Main || m.Replace != nil || m.Version == ""
	if local || own == "" || own == "(devel)" || own == m.Version {
		return nil
	}
	return problemf(errVersion, "this is the setup of %s, but the module in use is %s", own, m.Version).
		hinted("run it without a version: go run %s/cmd/setup", modulePath)
}

// ownVersion returns the version of the module this command was built from.
func ownVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Path != modulePath {
		return ""
	}
	return info.Main.Version
}
