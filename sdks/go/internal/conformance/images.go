package main

import (
	"context"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

type imageArguments struct {
	Reference string            `json:"reference"`
	Platform  *platformArgument `json:"platform"`
}

func (a imageArguments) options() []boxlite.ImageOption {
	if a.Platform == nil {
		return nil
	}
	return []boxlite.ImageOption{boxlite.WithPlatform(a.Platform.Platform)}
}

type pullArguments struct {
	imageArguments
	Policy   string `json:"policy"`
	Progress bool   `json:"progress"`
}

var policies = map[string]boxlite.PullPolicy{
	"always": boxlite.PullAlways, "missing": boxlite.PullMissing, "never": boxlite.PullNever,
}

func pull(ctx context.Context, c *call, images *boxlite.Images, arguments pullArguments) (any, error) {
	var options []boxlite.PullOption
	if arguments.Platform != nil {
		options = append(options, boxlite.WithPlatform(arguments.Platform.Platform))
	}
	if arguments.Policy != "" {
		policy, known := policies[arguments.Policy]
		if !known {
			return nil, wrong("there is no policy %q", arguments.Policy)
		}
		options = append(options, boxlite.WithPullPolicy(policy))
	}
	if arguments.Progress {
		options = append(options, boxlite.WithProgress(func(event boxlite.PullEvent) {
			c.adapter.say(map[string]any{"progress": c.request.ID, "event": pullEventRecord(event)})
		}))
	}
	return images.Pull(ctx, arguments.Reference, options...)
}

func init() {
	add(map[string]operation{
		"images.pull": on(pull),
		"images.list": on(func(ctx context.Context, _ *call, images *boxlite.Images, _ none) (any, error) {
			list, err := images.List(ctx)
			records := make([]any, len(list))
			for index, info := range list {
				records[index] = imageRecord(info)
			}
			return records, err
		}),
		"images.get": on(func(ctx context.Context, _ *call, images *boxlite.Images, arguments imageArguments) (any, error) {
			return imageAnswer(images.Get(ctx, arguments.Reference, arguments.options()...))
		}),
		"images.inspect": on(func(ctx context.Context, _ *call, images *boxlite.Images, arguments imageArguments) (any, error) {
			details, err := images.Inspect(ctx, arguments.Reference, arguments.options()...)
			if err != nil {
				return nil, err
			}
			return detailsRecord(details), nil
		}),
		"images.tag": on(func(ctx context.Context, _ *call, images *boxlite.Images, arguments struct {
			Reference string `json:"reference"`
			Name      string `json:"name"`
		}) (any, error) {
			return imageAnswer(images.Tag(ctx, arguments.Reference, arguments.Name))
		}),
		"images.remove": on(func(ctx context.Context, _ *call, images *boxlite.Images, arguments struct {
			Reference string `json:"reference"`
			Force     bool   `json:"force"`
		}) (any, error) {
			return images.Remove(ctx, arguments.Reference, arguments.Force)
		}),
		"images.export_erofs": on(func(ctx context.Context, _ *call, images *boxlite.Images, arguments struct {
			imageArguments
			File string `json:"file"`
		}) (any, error) {
			return nothing(images.ExportEROFS(ctx, arguments.Reference, arguments.File, arguments.options()...))
		}),
		"images.close": on(func(_ context.Context, _ *call, images *boxlite.Images, _ none) (any, error) {
			return nothing(images.Close())
		}),
	})
}

func imageAnswer(info *boxlite.ImageInfo, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return imageRecord(*info), nil
}
