package main

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

// readBytes is the most that one read answers.
const readBytes = 64 << 10

// execOptions says in options what a specification says in fields.
func execOptions(spec boxlite.ExecSpec) []boxlite.ExecOption {
	var options []boxlite.ExecOption
	for _, name := range slices.Sorted(maps.Keys(spec.Env)) {
		options = append(options, boxlite.WithEnv(name, spec.Env[name]))
	}
	if spec.WorkingDir != "" {
		options = append(options, boxlite.WithWorkingDir(spec.WorkingDir))
	}
	if spec.User != "" {
		options = append(options, boxlite.WithUser(spec.User))
	}
	if spec.TTY != nil {
		options = append(options, boxlite.WithTTY(spec.TTY.Rows, spec.TTY.Columns))
	}
	if spec.Stdin {
		options = append(options, boxlite.WithStdin())
	}
	if spec.TimeoutMilliseconds != nil {
		options = append(options, boxlite.WithTimeout(time.Duration(*spec.TimeoutMilliseconds)*time.Millisecond))
	}
	if spec.Detach {
		options = append(options, boxlite.WithDetach())
	}
	return options
}

func executionAnswer(execution *boxlite.Execution, err error) (any, error) {
	return handle(execution, noAnswer)(err)
}

func startExecution(ctx context.Context, _ *call, box *boxlite.Box, arguments struct {
	Spec boxlite.ExecSpec `json:"spec"`
}) (any, error) {
	// In Go there is always a program; one that is not named is empty.
	argv := append(arguments.Spec.Argv, "")
	rest := argv[1:max(1, len(argv)-1)]
	return executionAnswer(box.StartExecution(ctx, argv[0], rest, execOptions(arguments.Spec)...))
}

func readExecution(ctx context.Context, _ *call, execution *boxlite.Execution, arguments struct {
	Stream string `json:"stream"`
}) (any, error) {
	var stream *boxlite.OutputStream
	switch arguments.Stream {
	case "stdout":
		stream = execution.Stdout()
	case "stderr":
		stream = execution.Stderr()
	default:
		return nil, wrong("there is no stream %q", arguments.Stream)
	}
	buffer := make([]byte, readBytes)
	count, err := stream.ReadContext(ctx, buffer)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return buffer[:count], nil
}

func init() {
	add(map[string]operation{
		"box.exec": on(startExecution),
		"box.start_attached": on(func(ctx context.Context, _ *call, box *boxlite.Box, _ none) (any, error) {
			return executionAnswer(box.StartAttached(ctx))
		}),
		"box.attach": on(func(ctx context.Context, _ *call, box *boxlite.Box, _ none) (any, error) {
			return executionAnswer(box.Attach(ctx))
		}),
		"execution.read": on(readExecution),
		"execution.write": on(func(ctx context.Context, _ *call, execution *boxlite.Execution, arguments struct {
			Bytes []byte `json:"bytes"`
		}) (any, error) {
			_, err := execution.Stdin().WriteContext(ctx, arguments.Bytes)
			return nothing(err)
		}),
		"execution.close_stdin": on(func(_ context.Context, _ *call, execution *boxlite.Execution, _ none) (any, error) {
			return nothing(execution.Stdin().Close())
		}),
		"execution.output": on(func(ctx context.Context, _ *call, execution *boxlite.Execution, _ none) (any, error) {
			result, err := execution.Output(ctx)
			if err != nil {
				return nil, err
			}
			return map[string]any{"stdout": []byte(result.Stdout), "stderr": []byte(result.Stderr), "status": result.Status}, nil
		}),
		"execution.wait": on(func(ctx context.Context, _ *call, execution *boxlite.Execution, _ none) (any, error) {
			return execution.Wait(ctx)
		}),
		"execution.signal": on(func(ctx context.Context, _ *call, execution *boxlite.Execution, arguments struct {
			Signal int `json:"signal"`
		}) (any, error) {
			return nothing(execution.Signal(ctx, arguments.Signal))
		}),
		"execution.kill": on(func(ctx context.Context, _ *call, execution *boxlite.Execution, _ none) (any, error) {
			return nothing(execution.Kill(ctx))
		}),
		"execution.resize": on(func(ctx context.Context, _ *call, execution *boxlite.Execution, size boxlite.TerminalSize) (any, error) {
			return nothing(execution.Resize(ctx, size))
		}),
		"execution.close": on(func(_ context.Context, _ *call, execution *boxlite.Execution, _ none) (any, error) {
			return nothing(execution.Close())
		}),
	})
}
