package boxlite_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// roles are programs that tests start as processes of their own. Each ends when its stdin does.
var roles = map[string]func(arguments []string) error{
	"exit-with-a-pull-under-way": func(arguments []string) error {
		opened, err := openHome(arguments[0])
		if err != nil {
			return err
		}
		images, err := opened.Images()
		if err != nil {
			return err
		}
		go func() { _, _ = images.Pull(context.Background(), arguments[1]) }()
		fmt.Println("pulling")
		return nil
	},
}

func playRole(name string) {
	role := roles[name]
	if role == nil {
		fmt.Println("there is no role", name)
		os.Exit(2)
	}
	if err := role(strings.Split(os.Getenv("BOXLITE_TEST_ARGUMENTS"), "\n")); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// roleProcess is a role that is played.
type roleProcess struct {
	command *exec.Cmd
	stdin   io.Closer
	output  *strings.Builder
}

func startRole(t *testing.T, name string, arguments ...string) roleProcess {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "BOXLITE_TEST_ROLE="+name, "BOXLITE_TEST_ARGUMENTS="+strings.Join(arguments, "\n"))
	var output strings.Builder
	command.Stdout, command.Stderr = &output, &output
	stdin, err := command.StdinPipe()
	must(t, err)
	must(t, command.Start())
	t.Cleanup(func() { stdin.Close() })
	return roleProcess{command, stdin, &output}
}

// end lets the program end by itself, and returns what it printed.
func (r roleProcess) end() (string, error) {
	r.stdin.Close()
	err := r.command.Wait()
	return r.output.String(), err
}
