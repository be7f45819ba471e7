package boxlite

/*
#include "library.h"
*/
import "C"

import (
	"context"
)

// ImageOption says which image is meant.
type ImageOption interface{ applyImage(*imageConfig) }

// PullOption says how an image is pulled.
type PullOption interface{ applyPull(*pullConfig) }

// PlatformOption is both.
type PlatformOption interface {
	ImageOption
	PullOption
	BoxOption
}

type imageConfig struct{ platform string }

type pullConfig struct {
	imageConfig
	policy   PullPolicy
	progress func(PullEvent)
}

type pullOption func(*pullConfig)

func (o pullOption) applyPull(config *pullConfig) { o(config) }

type platformOption Platform

func (o platformOption) applyImage(config *imageConfig) { config.platform = Platform(o).String() }
func (o platformOption) applyPull(config *pullConfig)   { config.platform = Platform(o).String() }
func (o platformOption) applyBox(spec *BoxSpec) {
	platform := Platform(o)
	spec.Platform = &platform
}

// WithPlatform chooses the platform of an image; the host's by default.
func WithPlatform(platform Platform) PlatformOption { return platformOption(platform) }

// PullPolicy says when a pull asks the registry.
type PullPolicy int

// The policies.
const (
	// PullAlways asks every time, the default; blobs that are held are not fetched again.
	PullAlways PullPolicy = iota
	// PullMissing asks only if the reference is not held for the platform.
	PullMissing
	// PullNever uses what is held, or fails with ErrNotFound.
	PullNever
)

// WithPullPolicy says when the registry is asked.
func WithPullPolicy(policy PullPolicy) PullOption {
	return pullOption(func(config *pullConfig) { config.policy = policy })
}

// WithProgress has the steps of a pull told while it goes on, one after the other, on the goroutine that called Pull. All
// have been told when that returns.
func WithProgress(tell func(PullEvent)) PullOption {
	return pullOption(func(config *pullConfig) { config.progress = tell })
}

// Pull fetches an image, verifies every byte of it, and makes it ready to run.
//
// When the context ends, the pull stops at once, and leaves partial downloads that the next pull resumes.
//
// It fails with ErrInvalidArgument for a malformed reference; with ErrNotFound, ErrPlatformMismatch, ErrUnauthorized,
// ErrRateLimited or ErrNetwork from the registry; with ErrDigestMismatch or ErrImage for bytes that are not what they
// should be; with ErrNoSpace.
func (i *Images) Pull(ctx context.Context, reference string, options ...PullOption) (*ImagePullResult, error) {
	var config pullConfig
	for _, option := range options {
		option.applyPull(&config)
	}
	text, err := newText(reference)
	if err != nil {
		return nil, err
	}
	how, err := config.native()
	if err != nil {
		return nil, err
	}
	defer C.boxlite_pull_options_free(how)
	begin := func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_images_pull(i.pointer, text.pointer(), how, operation, failure)
	}
	var watch func(operation) error
	if config.progress != nil {
		watch = func(pull operation) error { return tellEvents(i.native, pull, config.progress) }
	}
	var result ImagePullResult
	if err := i.watchedCallJSON(ctx, "images.pull", &result, begin, watch); err != nil {
		return nil, err
	}
	return &result, nil
}

// native makes the options object of the library.
func (c pullConfig) native() (*C.boxlite_pull_options, error) {
	var options *C.boxlite_pull_options
	if err := check(func(failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_pull_options_new(&options, failure)
	}); err != nil {
		return nil, err
	}
	err := check(func(failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_pull_options_set_policy(options, C.uint32_t(c.policy), failure)
	})
	if err == nil && c.platform != "" {
		var platform cText
		if platform, err = newText(c.platform); err == nil {
			err = check(func(failure **C.boxlite_error) C.boxlite_status {
				return C.boxlite_pull_options_set_platform(options, platform.pointer(), failure)
			})
		}
	}
	if err != nil {
		C.boxlite_pull_options_free(options)
		return nil, err
	}
	return options, nil
}
