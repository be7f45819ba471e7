package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

// attempts is the library's own number, for when only the delay is to be another.
const attempts = 5

type openArguments struct {
	Home       string `json:"home"`
	Registries []struct {
		Host      string            `json:"host"`
		Transport boxlite.Transport `json:"transport"`
		Username  string            `json:"username"`
		Password  string            `json:"password"`
		Token     string            `json:"token"`
	} `json:"registries"`
	Accelerator  string        `json:"accelerator"`
	SpareMachine bool          `json:"spare_machine"`
	RetryDelayMS *milliseconds `json:"retry_delay_ms"`
}

func openRuntime(c *call, ctx context.Context) (any, error) {
	arguments, err := argumentsOf[openArguments](c)
	if err != nil {
		return nil, err
	}
	options := []boxlite.RuntimeOption{boxlite.WithHomeDir(arguments.Home)}
	for _, registry := range arguments.Registries {
		options = append(options, boxlite.WithImageRegistry(boxlite.ImageRegistry{
			Host: registry.Host, Transport: registry.Transport,
			Auth: boxlite.ImageRegistryAuth{Username: registry.Username, Password: registry.Password, BearerToken: registry.Token},
		}))
	}
	switch arguments.Accelerator {
	case "", "fastest":
	case "kvm":
		options = append(options, boxlite.WithAccelerator(boxlite.AcceleratorKVM))
	case "tcg":
		options = append(options, boxlite.WithAccelerator(boxlite.AcceleratorTCG))
	default:
		return nil, wrong("there is no accelerator %q", arguments.Accelerator)
	}
	if arguments.SpareMachine {
		options = append(options, boxlite.WithSpareMachine())
	}
	if arguments.RetryDelayMS != nil {
		options = append(options, boxlite.WithRetries(attempts, arguments.RetryDelayMS.duration()))
	}
	opened, err := boxlite.OpenRuntime(ctx, options...)
	c.adapter.mutex.Lock()
	c.adapter.homes[c.request.As] = arguments.Home
	c.adapter.mutex.Unlock()
	return handle(opened, noAnswer)(err)
}

func noAnswer[H any](H) any { return nil }

// collect forgets a runtime, and collects garbage until its home is let go of.
func collect(c *call, _ context.Context) (any, error) {
	c.adapter.mutex.Lock()
	_, fits := c.adapter.handles[c.request.On].(*boxlite.Runtime)
	home := c.adapter.homes[c.request.On]
	delete(c.adapter.handles, c.request.On)
	c.adapter.mutex.Unlock()
	if !fits {
		return nil, wrong("%q is no runtime", c.request.On)
	}
	for holdsFilesBelow(home) {
		runtime.GC()
	}
	return nil, nil
}

// holdsFilesBelow tells whether this process has files of a directory open.
func holdsFilesBelow(directory string) bool {
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return false
	}
	for _, link := range links {
		if file, err := os.Readlink(link); err == nil && strings.HasPrefix(file, directory+"/") {
			return true
		}
	}
	return false
}

func same(c *call, _ context.Context) (any, error) {
	arguments, err := argumentsOf[struct {
		Other string `json:"other"`
	}](c)
	c.adapter.mutex.Lock()
	defer c.adapter.mutex.Unlock()
	return c.adapter.handles[c.request.On] == c.adapter.handles[arguments.Other], err
}

var operations = map[string]operation{}

func init() {
	add(map[string]operation{
		"runtime.open": openRuntime,
		"test.collect": collect,
		"test.same":    same,
		"runtime.images": on(func(_ context.Context, _ *call, opened *boxlite.Runtime, _ none) (any, error) {
			images, err := opened.Images()
			return handle(images, noAnswer)(err)
		}),
		"runtime.list": on(func(ctx context.Context, _ *call, opened *boxlite.Runtime, _ none) (any, error) {
			list, err := opened.List(ctx)
			records := make([]any, len(list))
			for index := range list {
				records[index] = boxRecord(&list[index])
			}
			return records, err
		}),
		"runtime.remove": on(func(ctx context.Context, _ *call, opened *boxlite.Runtime, arguments struct {
			Name  string `json:"name"`
			Force bool   `json:"force"`
		}) (any, error) {
			return nothing(opened.Remove(ctx, arguments.Name, arguments.Force))
		}),
		"runtime.metrics": on(func(ctx context.Context, _ *call, opened *boxlite.Runtime, _ none) (any, error) {
			return opened.Metrics(ctx)
		}),
		"runtime.usage": on(func(ctx context.Context, _ *call, opened *boxlite.Runtime, _ none) (any, error) {
			return opened.Usage(ctx)
		}),
		"runtime.check": on(func(ctx context.Context, _ *call, opened *boxlite.Runtime, arguments struct {
			Repair bool `json:"repair"`
		}) (any, error) {
			return opened.Check(ctx, arguments.Repair)
		}),
		"runtime.doctor": on(func(ctx context.Context, _ *call, opened *boxlite.Runtime, _ none) (any, error) {
			return opened.Doctor(ctx)
		}),
		"runtime.prepare": on(func(ctx context.Context, _ *call, opened *boxlite.Runtime, arguments struct {
			Resources resourceArguments `json:"resources"`
		}) (any, error) {
			var options []boxlite.PrepareOption
			for _, option := range arguments.Resources.options() {
				options = append(options, option)
			}
			return nothing(opened.Prepare(ctx, options...))
		}),
		"runtime.events": on(func(_ context.Context, _ *call, opened *boxlite.Runtime, _ none) (any, error) {
			events, err := opened.Events()
			return handle(events, noAnswer)(err)
		}),
		"events.next": on(func(ctx context.Context, _ *call, events *boxlite.Events, _ none) (any, error) {
			event, err := events.Next(ctx)
			if err != nil {
				return nil, ignoreEOF(err)
			}
			return eventRecord(event), nil
		}),
		"runtime.shutdown": on(func(_ context.Context, _ *call, opened *boxlite.Runtime, arguments struct {
			TimeoutMS *milliseconds `json:"timeout_ms"`
		}) (any, error) {
			ctx := context.Background()
			if arguments.TimeoutMS != nil {
				deadline, cancel := context.WithDeadline(ctx, time.Now().Add(arguments.TimeoutMS.duration()))
				defer cancel()
				ctx = deadline
			}
			return nothing(opened.Shutdown(ctx))
		}),
		"runtime.close": on(func(_ context.Context, _ *call, opened *boxlite.Runtime, _ none) (any, error) {
			return nothing(opened.Close())
		}),
		"kernels.list": on(func(ctx context.Context, _ *call, opened *boxlite.Runtime, _ none) (any, error) {
			return opened.Kernels(ctx)
		}),
		"kernels.install": on(func(ctx context.Context, _ *call, opened *boxlite.Runtime, _ none) (any, error) {
			return opened.InstallKernel(ctx, boxlite.KernelSource{})
		}),
	})
}

func add(more map[string]operation) {
	for name, operation := range more {
		operations[name] = operation
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
