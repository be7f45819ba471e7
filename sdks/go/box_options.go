package boxlite

import "time"

// BoxOption says how a box is to be made.
type BoxOption interface{ applyBox(*BoxSpec) }

// ExecOption says how a command is to be run.
type ExecOption interface{ applyExec(*ExecSpec) }

// CommandOption is one that makes sense for a single command, and for every command of a box.
type CommandOption interface {
	BoxOption
	ExecOption
}

// ResourceOption says what a box may use.
type ResourceOption interface {
	BoxOption
	PrepareOption
}

type boxOption func(*BoxSpec)

func (o boxOption) applyBox(spec *BoxSpec) { o(spec) }

type execOption func(*ExecSpec)

func (o execOption) applyExec(spec *ExecSpec) { o(spec) }

type commandOption struct {
	boxOption
	execOption
}

// WithEnv sets a variable of the environment, on top of those of the image and, for a command, of the box.
func WithEnv(name, value string) CommandOption {
	return commandOption{
		func(spec *BoxSpec) {
			// The last entry of a name wins.
			spec.Env = append(spec.Env, name+"="+value)
		},
		func(spec *ExecSpec) {
			if spec.Env == nil {
				spec.Env = map[string]string{}
			}
			spec.Env[name] = value
		},
	}
}

// WithWorkingDir sets the working directory, instead of the image's.
func WithWorkingDir(directory string) CommandOption {
	return commandOption{
		func(spec *BoxSpec) { spec.WorkingDir = directory },
		func(spec *ExecSpec) { spec.WorkingDir = directory },
	}
}

// WithUser sets the user, as `user[:group]` by name or number, instead of the image's.
func WithUser(user string) CommandOption {
	return commandOption{
		func(spec *BoxSpec) { spec.User = user },
		func(spec *ExecSpec) { spec.User = user },
	}
}

// WithName gives the box a name, unique in the home: letters, digits, `_`, `.`, `-`, at most 63.
func WithName(name string) BoxOption {
	return boxOption(func(spec *BoxSpec) { spec.Name = name })
}

// resourceOption changes the resources of a box that is to be made, or prepared for.
type resourceOption func(*Resources)

func (o resourceOption) applyBox(spec *BoxSpec)             { o(&spec.Resources) }
func (o resourceOption) applyPrepare(config *prepareConfig) { o(&config.resources) }

// WithCPUs sets the number of virtual processors, 1 to 16; 1 by default.
func WithCPUs(count int) ResourceOption {
	return resourceOption(func(resources *Resources) { resources.CPUs = count })
}

// WithMemory sets the memory in MiB, 128 to 65536; 1024 by default. The host gives it only as the box touches it.
func WithMemory(mib int) ResourceOption {
	return resourceOption(func(resources *Resources) { resources.MemoryMiB = mib })
}

// WithDiskSize sets the size of the box's own writable disk in GiB, 1 to 60; 10 by default. Empty space costs nothing.
func WithDiskSize(gib int) ResourceOption { return WithDiskSizeMiB(gib * 1024) }

// WithDiskSizeMiB is WithDiskSize in MiB, 64 to 61440.
func WithDiskSizeMiB(mib int) ResourceOption {
	return resourceOption(func(resources *Resources) { resources.DiskMiB = mib })
}

// WithHostname sets the host name inside; the id of the box by default.
func WithHostname(name string) BoxOption {
	return boxOption(func(spec *BoxSpec) { spec.Hostname = name })
}

// WithEntrypoint replaces the entrypoint of the image, and with it the image's command; without words, it leaves the
// words of WithMain alone.
func WithEntrypoint(words ...string) BoxOption {
	return boxOption(func(spec *BoxSpec) { spec.Entrypoint = append([]string{}, words...) })
}

// WithMain gives the box a main command: it runs at each start, its output is the log of the box, and the box stops when
// it ends. Without words, it is the image's own. A box without a main command stays up until it is stopped.
func WithMain(words ...string) BoxOption {
	return boxOption(func(spec *BoxSpec) { mainOf(spec).Argv = append([]string{}, words...) })
}

// WithMainOptions says how the main command is run, and gives the box one if it has none.
func WithMainOptions(options ...ExecOption) BoxOption {
	return boxOption(func(spec *BoxSpec) {
		for _, option := range options {
			option.applyExec(mainOf(spec))
		}
	})
}

func mainOf(spec *BoxSpec) *ExecSpec {
	if spec.Main == nil {
		spec.Main = &ExecSpec{}
	}
	return spec.Main
}

// WithDetach lets a box outlive the process that starts it. A command goes on with it when nobody holds it any more; it gets
// no stdin, and its output is thrown away.
func WithDetach() CommandOption {
	return commandOption{
		func(spec *BoxSpec) { spec.Detach = true },
		func(spec *ExecSpec) { spec.Detach = true },
	}
}

// WithAutoRemove removes the box when it stops.
func WithAutoRemove() BoxOption {
	return boxOption(func(spec *BoxSpec) { spec.AutoRemove = true })
}

// WithLabel adds a label for the owner's own use.
func WithLabel(name, value string) BoxOption {
	return boxOption(func(spec *BoxSpec) { spec.Labels = append(spec.Labels, name+"="+value) })
}

// WithLabels adds labels of the form `NAME=value`; others are refused.
func WithLabels(labels ...string) BoxOption {
	return boxOption(func(spec *BoxSpec) { spec.Labels = append(spec.Labels, labels...) })
}

// WithStdin connects the stdin of a command, which reads as empty otherwise.
func WithStdin() ExecOption {
	return execOption(func(spec *ExecSpec) { spec.Stdin = true })
}

// WithTTY gives a command a terminal. Its stdout and stderr are then one stream, stdout.
func WithTTY(rows, columns uint16) ExecOption {
	return execOption(func(spec *ExecSpec) { spec.TTY = &TerminalSize{Rows: rows, Columns: columns} })
}

// WithTimeout kills a command, and everything it started, after a time.
func WithTimeout(timeout time.Duration) ExecOption {
	return execOption(func(spec *ExecSpec) {
		milliseconds := uint64(max(timeout.Milliseconds(), 0))
		spec.TimeoutMilliseconds = &milliseconds
	})
}
