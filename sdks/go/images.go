package boxlite

/*
#include "library.h"
*/
import "C"

import (
	"context"
	"runtime"
)

// Images is the handle to the images of a home: one for each runtime. It may be used by any number of goroutines.
//
// When the runtime is shut down, or collected as garbage, every operation on it fails with ErrStopped; after Close, with
// ErrInvalidState.
type Images struct {
	handle
	pointer *C.boxlite_images
}

func newImages(n *native, pointer *C.boxlite_images) *Images {
	images := &Images{newHandle(n, "image handle"), pointer}
	runtime.AddCleanup(images, func(pointer *C.boxlite_images) { C.boxlite_images_free(pointer) }, pointer)
	return images
}

// List returns every reference held, by name.
func (i *Images) List(ctx context.Context) ([]ImageInfo, error) {
	var wire []wireImageInfo
	err := i.callJSON(ctx, "images.list", &wire,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_images_list(i.pointer, operation, failure)
		})
	if err != nil {
		return nil, err
	}
	list := make([]ImageInfo, len(wire))
	for index := range wire {
		list[index] = wire[index].public()
	}
	return list, nil
}

// Get returns what is held under a reference, a digest, or the unambiguous beginning of one.
//
// It fails with ErrNotFound, or with ErrPlatformMismatch if it is held for other platforms only.
func (i *Images) Get(ctx context.Context, reference string, options ...ImageOption) (*ImageInfo, error) {
	var wire wireImageInfo
	err := i.named(ctx, "images.get", reference, options, &wire,
		func(reference, platform *C.char, operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_images_get(i.pointer, reference, platform, operation, failure)
		})
	if err != nil {
		return nil, err
	}
	info := wire.public()
	return &info, nil
}

// Inspect returns everything known of an image: configuration, layers, history, and all its names. It fails as Get does.
func (i *Images) Inspect(ctx context.Context, reference string, options ...ImageOption) (*ImageDetails, error) {
	var wire wireImageDetails
	err := i.named(ctx, "images.inspect", reference, options, &wire,
		func(reference, platform *C.char, operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_images_inspect(i.pointer, reference, platform, operation, failure)
		})
	if err != nil {
		return nil, err
	}
	return wire.public(), nil
}

// Tag makes name name the image that reference names; a name that exists is moved.
func (i *Images) Tag(ctx context.Context, reference, name string) (*ImageInfo, error) {
	from, err := newText(reference)
	if err != nil {
		return nil, err
	}
	to, err := newText(name)
	if err != nil {
		return nil, err
	}
	var wire wireImageInfo
	err = i.callJSON(ctx, "images.tag", &wire,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_images_tag(i.pointer, from.pointer(), to.pointer(), operation, failure)
		})
	if err != nil {
		return nil, err
	}
	info := wire.public()
	return &info, nil
}

// Remove removes a name and, with its last one, the image; it frees the bytes nobody else needs.
//
// An image that a box needs fails with ErrInUse, unless force is set: then the name goes, and the bytes stay until the box
// is removed.
func (i *Images) Remove(ctx context.Context, reference string, force bool) (*RemovedImage, error) {
	text, err := newText(reference)
	if err != nil {
		return nil, err
	}
	var removed RemovedImage
	err = i.callJSON(ctx, "images.remove", &removed,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_images_remove(i.pointer, text.pointer(), C.bool(force), operation, failure)
		})
	if err != nil {
		return nil, err
	}
	return &removed, nil
}

// ExportEROFS writes the root filesystem of an image as one self-contained EROFS file.
func (i *Images) ExportEROFS(ctx context.Context, reference, file string, options ...ImageOption) error {
	path, err := newText(file)
	if err != nil {
		return err
	}
	return i.named(ctx, "images.export_erofs", reference, options, nil,
		func(reference, platform *C.char, operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_images_export_erofs(i.pointer, reference, platform, path.pointer(), operation, failure)
		})
}

// Close closes the handle: operations on it fail with ErrInvalidState from then on, those under way end undisturbed. The
// runtime stays open, and makes a new handle when it is asked for one. It may be called again, and while others use it.
func (i *Images) Close() error {
	// A native handle that is stale already is as closed as can be.
	return i.close(func() { C.boxlite_images_free(i.pointer) })
}

// named carries out an operation on an image of some platform.
func (i *Images) named(ctx context.Context, name, reference string, options []ImageOption, into any,
	begin func(reference, platform *C.char, operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status,
) error {
	var config imageConfig
	for _, option := range options {
		option.applyImage(&config)
	}
	text, err := newText(reference)
	if err != nil {
		return err
	}
	platform, err := optionalText(config.platform)
	if err != nil {
		return err
	}
	return i.callJSON(ctx, name, into, func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
		return begin(text.pointer(), platform.pointer(), operation, failure)
	})
}
