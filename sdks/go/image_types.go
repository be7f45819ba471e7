package boxlite

import (
	"encoding/json"
	"time"
)

// Platform is what an image was built for. Architecture names are Go's own.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// String returns `os/architecture` or `os/architecture/variant`.
func (p Platform) String() string {
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	return text
}

// ImageInfo is one reference held in the store.
type ImageInfo struct {
	// Reference is the full one: `host/repository:tag`, or `host/repository@digest`.
	Reference string `json:"reference"`
	// Repository is `host/repository`.
	Repository string `json:"repository"`
	// Tag is empty for a reference by digest.
	Tag string `json:"tag"`
	// ID is the manifest digest: the identity of the image for its platform.
	ID string `json:"id"`
	// ConfigDigest is the digest of the image configuration.
	ConfigDigest string `json:"config_digest"`
	// Platform is that of this image.
	Platform Platform `json:"platform"`
	// CachedAt is when this reference was last set.
	CachedAt time.Time `json:"cached_at"`
	// LastUsedAt is when a pull or a box last used it.
	LastUsedAt time.Time `json:"last_used_at"`
	// Created is when the image was built, as its configuration says (RFC 3339); empty if it does not say so.
	Created string `json:"created"`
	// Size is that of the compressed layers and the configuration together, in bytes: what a pull of it transfers.
	Size uint64 `json:"size_bytes"`
	// UnpackedSize is that of the files of all its layers, in bytes.
	UnpackedSize uint64 `json:"unpacked_bytes"`
	// LayerCount is the number of layers.
	LayerCount int `json:"layer_count"`
}

// ImageConfig is what an image says about how it wants to be run (image-spec, config.md).
type ImageConfig struct {
	Entrypoint []string `json:"entrypoint"`
	Command    []string `json:"command"`
	// Env has entries `NAME=value`.
	Env []string `json:"env"`
	// WorkingDir is empty for `/`.
	WorkingDir string `json:"working_dir"`
	// User is `user[:group]` by name or number; empty for root.
	User string `json:"user"`
	// StopSignal is empty for `SIGTERM`.
	StopSignal   string            `json:"stop_signal"`
	Labels       map[string]string `json:"labels"`
	ExposedPorts []string          `json:"exposed_ports"`
	Volumes      []string          `json:"volumes"`
}

// LayerInfo is one layer of an image.
type LayerInfo struct {
	// Digest is that of the blob as it was served.
	Digest string `json:"digest"`
	// DiffID is the digest of the uncompressed tar.
	DiffID    string `json:"diff_id"`
	MediaType string `json:"media_type"`
	// Size is that of the blob in bytes.
	Size uint64 `json:"size_bytes"`
	// Entries is the number of entries of the tar.
	Entries uint64 `json:"entries"`
}

// HistoryEntry is one step of building an image.
type HistoryEntry struct {
	Command string
	// EmptyLayer tells that the step made no layer.
	EmptyLayer bool
}

// UnmarshalJSON reads a pair.
func (h *HistoryEntry) UnmarshalJSON(encoded []byte) error {
	return json.Unmarshal(encoded, &[]any{&h.Command, &h.EmptyLayer})
}

// MarshalJSON writes a pair.
func (h HistoryEntry) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{h.Command, h.EmptyLayer})
}

// ImageDetails is everything known of one image.
type ImageDetails struct {
	ImageInfo
	// References are all that name this image.
	References []string       `json:"references"`
	Config     ImageConfig    `json:"config"`
	Layers     []LayerInfo    `json:"layers"`
	History    []HistoryEntry `json:"history"`
}

// ImagePullResult is what a finished pull gives back.
type ImagePullResult struct {
	// Reference is the full one that now names the image.
	Reference string `json:"reference"`
	// ID is the manifest digest for the platform.
	ID           string   `json:"id"`
	ConfigDigest string   `json:"config_digest"`
	Platform     Platform `json:"platform"`
	LayerCount   int      `json:"layer_count"`
	// Cached tells that every blob was held already.
	Cached bool `json:"cached"`
	// BytesFetched counts the bytes of blobs and manifests this pull itself received.
	BytesFetched uint64 `json:"bytes_fetched"`
}

// RemovedImage is what a removal did.
type RemovedImage struct {
	// Untagged are the references that no longer name anything.
	Untagged []string `json:"untagged"`
	// Deleted are the images of which nothing is left.
	Deleted []string `json:"deleted"`
	// BytesFreed were given back to the disk.
	BytesFreed uint64 `json:"bytes_freed"`
}

// PullEvent is a step of a pull. Type says which of the fields are set.
type PullEvent struct {
	// Type is resolving, resolved, layer_cached, layer_downloading, layer_waiting, layer_done, retrying, merging or done.
	Type string `json:"type"`
	// Reference is set by resolving.
	Reference string `json:"reference"`
	// ID is the manifest digest, set by resolved and done.
	ID string `json:"id"`
	// LayerCount is set by resolved.
	LayerCount int `json:"layer_count"`
	// Digest is that of the blob of the layer the event is about.
	Digest string `json:"digest"`
	// ReceivedBytes is set by layer_downloading.
	ReceivedBytes uint64 `json:"received_bytes"`
	// TotalBytes is set by resolved (the whole image) and layer_downloading (the layer).
	TotalBytes uint64 `json:"total_bytes"`
	// What is tried again by retrying: a digest or the reference.
	What string `json:"what"`
	// Attempt is the number of the coming attempt, from 2.
	Attempt int `json:"attempt"`
	// DelayMilliseconds is the delay before it.
	DelayMilliseconds uint64 `json:"delay_ms"`
	// Reason is why the last attempt failed.
	Reason string `json:"reason"`
	// Cached is set by done, if nothing had to be fetched.
	Cached bool `json:"cached"`
	// ElapsedMilliseconds is set by done.
	ElapsedMilliseconds uint64 `json:"elapsed_ms"`
}

// unixTime is a time as the library writes it: in seconds since the Unix epoch, or null.
type unixTime struct{ time.Time }

func (u *unixTime) UnmarshalJSON(encoded []byte) error {
	var seconds *int64
	if err := json.Unmarshal(encoded, &seconds); err != nil || seconds == nil {
		return err
	}
	u.Time = time.Unix(*seconds, 0)
	return nil
}

// wireImageInfo reads an ImageInfo: what stands outside hides what is embedded.
type wireImageInfo struct {
	ImageInfo
	CachedAt   unixTime `json:"cached_at"`
	LastUsedAt unixTime `json:"last_used_at"`
}

func (w wireImageInfo) public() ImageInfo {
	w.ImageInfo.CachedAt, w.ImageInfo.LastUsedAt = w.CachedAt.Time, w.LastUsedAt.Time
	return w.ImageInfo
}

// wireImageDetails reads an ImageDetails.
type wireImageDetails struct {
	ImageDetails
	CachedAt   unixTime `json:"cached_at"`
	LastUsedAt unixTime `json:"last_used_at"`
}

func (w wireImageDetails) public() *ImageDetails {
	w.ImageDetails.CachedAt, w.ImageDetails.LastUsedAt = w.CachedAt.Time, w.LastUsedAt.Time
	return &w.ImageDetails
}
