package main

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

type resourceArguments struct {
	CPUs      *int `json:"cpus"`
	MemoryMiB *int `json:"memory_mib"`
	DiskMiB   *int `json:"disk_mib"`
}

func (r resourceArguments) options() []boxlite.ResourceOption {
	var options []boxlite.ResourceOption
	if r.CPUs != nil {
		options = append(options, boxlite.WithCPUs(*r.CPUs))
	}
	if r.MemoryMiB != nil {
		options = append(options, boxlite.WithMemory(*r.MemoryMiB))
	}
	if r.DiskMiB != nil {
		options = append(options, boxlite.WithDiskSizeMiB(*r.DiskMiB))
	}
	return options
}

// boxArguments are a BoxSpec in which what is not named is not asked for.
type boxArguments struct {
	Image      string            `json:"image"`
	Name       *string           `json:"name"`
	Platform   *platformArgument `json:"platform"`
	Isolation  string            `json:"isolation"`
	Resources  resourceArguments `json:"resources"`
	Env        []string          `json:"env"`
	Cwd        *string           `json:"cwd"`
	User       *string           `json:"user"`
	Hostname   *string           `json:"hostname"`
	Entrypoint *[]string         `json:"entrypoint"`
	Main       *boxlite.ExecSpec `json:"main"`
	Detach     bool              `json:"detach"`
	AutoRemove bool              `json:"auto_remove"`
	Labels     []string          `json:"labels"`
}

func (s boxArguments) options() ([]boxlite.BoxOption, error) {
	if s.Isolation != "" && s.Isolation != "vm" {
		return nil, wrong("there is no option for isolation %q", s.Isolation)
	}
	var options []boxlite.BoxOption
	text := func(value *string, option func(string) boxlite.BoxOption) {
		if value != nil {
			options = append(options, option(*value))
		}
	}
	text(s.Name, boxlite.WithName)
	text(s.Cwd, func(value string) boxlite.BoxOption { return boxlite.WithWorkingDir(value) })
	text(s.User, func(value string) boxlite.BoxOption { return boxlite.WithUser(value) })
	text(s.Hostname, boxlite.WithHostname)
	if s.Platform != nil {
		options = append(options, boxlite.WithPlatform(s.Platform.Platform))
	}
	for _, option := range s.Resources.options() {
		options = append(options, option)
	}
	for _, entry := range s.Env {
		name, value, found := strings.Cut(entry, "=")
		if !found {
			return nil, wrong("an environment entry without a value cannot be said in Go: %q", entry)
		}
		options = append(options, boxlite.WithEnv(name, value))
	}
	if len(s.Labels) > 0 {
		options = append(options, boxlite.WithLabels(s.Labels...))
	}
	if s.Entrypoint != nil {
		options = append(options, boxlite.WithEntrypoint(*s.Entrypoint...))
	}
	if s.Main != nil {
		options = append(options, boxlite.WithMain(s.Main.Argv...), boxlite.WithMainOptions(execOptions(*s.Main)...))
	}
	if s.Detach {
		options = append(options, boxlite.WithDetach())
	}
	if s.AutoRemove {
		options = append(options, boxlite.WithAutoRemove())
	}
	return options, nil
}

type stopArguments struct {
	TimeoutMS *milliseconds `json:"timeout_ms"`
}

func (s stopArguments) options() []boxlite.StopOption {
	if s.TimeoutMS == nil {
		return nil
	}
	return []boxlite.StopOption{boxlite.WithStopTimeout(s.TimeoutMS.duration())}
}

type copyArguments struct {
	Host           string `json:"host"`
	Inside         string `json:"inside"`
	Overwrite      *bool  `json:"overwrite"`
	FollowSymlinks bool   `json:"follow_symlinks"`
}

func (c copyArguments) options() []boxlite.CopyOption {
	var options []boxlite.CopyOption
	if c.Overwrite != nil && !*c.Overwrite {
		options = append(options, boxlite.WithoutOverwrite())
	}
	if c.FollowSymlinks {
		options = append(options, boxlite.WithFollowSymlinks())
	}
	return options
}

func boxAnswer(box *boxlite.Box, err error) (any, error) {
	return handle(box, func(box *boxlite.Box) any { return map[string]any{"id": box.ID()} })(err)
}

// simple is an operation of a box without arguments, that gives nothing.
func simple(act func(*boxlite.Box, context.Context) error) operation {
	return on(func(ctx context.Context, _ *call, box *boxlite.Box, _ none) (any, error) {
		return nothing(act(box, ctx))
	})
}

func init() {
	add(map[string]operation{
		"runtime.create": on(func(ctx context.Context, _ *call, opened *boxlite.Runtime, arguments struct {
			Spec boxArguments `json:"spec"`
		}) (any, error) {
			options, err := arguments.Spec.options()
			if err != nil {
				return nil, err
			}
			return boxAnswer(opened.Create(ctx, arguments.Spec.Image, options...))
		}),
		"runtime.get": on(func(ctx context.Context, _ *call, opened *boxlite.Runtime, arguments struct {
			Name string `json:"name"`
		}) (any, error) {
			return boxAnswer(opened.Get(ctx, arguments.Name))
		}),
		"box.info": on(func(ctx context.Context, _ *call, box *boxlite.Box, _ none) (any, error) {
			info, err := box.Info(ctx)
			if err != nil {
				return nil, err
			}
			return boxRecord(info), nil
		}),
		"box.start":  simple((*boxlite.Box).Start),
		"box.kill":   simple((*boxlite.Box).Kill),
		"box.detach": simple((*boxlite.Box).Detach),
		"box.stop": on(func(ctx context.Context, _ *call, box *boxlite.Box, arguments stopArguments) (any, error) {
			return nothing(box.Stop(ctx, arguments.options()...))
		}),
		"box.restart": on(func(ctx context.Context, _ *call, box *boxlite.Box, arguments stopArguments) (any, error) {
			return nothing(box.Restart(ctx, arguments.options()...))
		}),
		"box.signal": on(func(ctx context.Context, _ *call, box *boxlite.Box, arguments struct {
			Signal int `json:"signal"`
		}) (any, error) {
			return nothing(box.Signal(ctx, arguments.Signal))
		}),
		"box.wait": on(func(ctx context.Context, _ *call, box *boxlite.Box, _ none) (any, error) {
			return box.Wait(ctx)
		}),
		"box.metrics": on(func(ctx context.Context, _ *call, box *boxlite.Box, _ none) (any, error) {
			return box.Metrics(ctx)
		}),
		"box.stat": on(func(ctx context.Context, _ *call, box *boxlite.Box, arguments struct {
			Path           string `json:"path"`
			FollowSymlinks bool   `json:"follow_symlinks"`
		}) (any, error) {
			stat, err := box.Stat(ctx, arguments.Path, copyArguments{FollowSymlinks: arguments.FollowSymlinks}.options()...)
			if err != nil {
				return nil, err
			}
			record := fields(stat)
			emptyIsNull(record, "link_target")
			return record, nil
		}),
		"box.copy_in": on(func(ctx context.Context, _ *call, box *boxlite.Box, arguments copyArguments) (any, error) {
			return nothing(box.CopyIn(ctx, arguments.Host, arguments.Inside, arguments.options()...))
		}),
		"box.copy_out": on(func(ctx context.Context, _ *call, box *boxlite.Box, arguments copyArguments) (any, error) {
			return nothing(box.CopyOut(ctx, arguments.Inside, arguments.Host, arguments.options()...))
		}),
		"box.put_archive": on(func(ctx context.Context, _ *call, box *boxlite.Box, arguments struct {
			Directory string `json:"directory"`
			Bytes     []byte `json:"bytes"`
		}) (any, error) {
			return nothing(box.PutArchive(ctx, arguments.Directory, bytes.NewReader(arguments.Bytes)))
		}),
		"box.get_archive": on(func(ctx context.Context, _ *call, box *boxlite.Box, arguments struct {
			Path string `json:"path"`
		}) (any, error) {
			archive, err := box.GetArchive(ctx, arguments.Path)
			if err != nil {
				return nil, err
			}
			defer archive.Close()
			return io.ReadAll(archive)
		}),
		"box.logs": on(func(ctx context.Context, _ *call, box *boxlite.Box, arguments struct {
			Follow bool `json:"follow"`
			Tail   *int `json:"tail"`
		}) (any, error) {
			var options []boxlite.LogOption
			if arguments.Follow {
				options = append(options, boxlite.WithFollow())
			}
			if arguments.Tail != nil {
				options = append(options, boxlite.WithTail(*arguments.Tail))
			}
			logs, err := box.Logs(ctx, options...)
			return handle(logs, noAnswer)(err)
		}),
		"logs.next": on(func(ctx context.Context, _ *call, logs *boxlite.Logs, _ none) (any, error) {
			entry, err := logs.Next(ctx)
			if err != nil {
				return nil, ignoreEOF(err)
			}
			return entry, nil
		}),
		"box.remove": on(func(ctx context.Context, _ *call, box *boxlite.Box, arguments struct {
			Force bool `json:"force"`
		}) (any, error) {
			return nothing(box.Remove(ctx, arguments.Force))
		}),
		"box.close": on(func(_ context.Context, _ *call, box *boxlite.Box, _ none) (any, error) {
			return nothing(box.Close())
		}),
	})
}
