package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	artifactVariable       = "BOXLITE_ARTIFACT"
	artifactSHA256Variable = "BOXLITE_ARTIFACT_SHA256"
)

// modulePath is the module whose directory the library is installed to.
const modulePath = "github.com/boxlite-ai/boxlite/sdks/go"

// responsePatience bounds the wait for the head of an answer; a body may take as long as it keeps coming.
const responsePatience = 30 * time.Second

// artifact is the archive to install: where it is, and what it has to be.
type artifact struct {
	pin archivePin
	// A file, or a URL if there is no file.
	file string
	url  string
}

// chooseArtifact decides which archive is installed, from what is pinned and what the environment asks for.
func chooseArtifact(pins map[string]archivePin, platform, location, sum string) (artifact, error) {
	pin, pinned := pins[platform]
	if sum != "" {
		own, ok := parseSHA256(sum)
		if !ok {
			return artifact{}, problemf(errUsage, "%s is no SHA-256: %q", artifactSHA256Variable, sum)
		}
		if location == "" {
			return artifact{}, problemf(errUsage, "%s is set, but %s is not", artifactSHA256Variable, artifactVariable).
				hinted("name the archive it belongs to with %s", artifactVariable)
		}
		// What another archive holds is not known before it is opened.
		pin = archivePin{name: pin.name, archive: own}
	} else if !pinned {
		return artifact{}, problemf(errNoPin, "this version of the module pins no library for %s", platform).
			hinted("use a released version; for a library of your own set %s and %s", artifactVariable, artifactSHA256Variable)
	}
	if location == "" {
		// Where the repository keeps its releases, by the convention of its host.
		base := "https://" + strings.TrimSuffix(modulePath, "/sdks/go") + "/releases/download/"
		return artifact{pin: pin, url: base + pin.version(platform) + "/" + pin.name}, nil
	}
	return locateArtifact(pin, location)
}

func locateArtifact(pin archivePin, location string) (artifact, error) {
	needsName := func(what string) error {
		if pin.name == "" {
			return problemf(errUsage, "%s is a %s, and no archive name is pinned: name the file itself", artifactVariable, what)
		}
		return nil
	}
	if parsed, err := url.Parse(location); err == nil && (parsed.Scheme == "http" || parsed.Scheme == "https") {
		if !strings.HasSuffix(parsed.Path, archiveSuffix) {
			if err := needsName("directory"); err != nil {
				return artifact{}, err
			}
			parsed = parsed.JoinPath(pin.name)
		}
		return artifact{pin: pin, url: parsed.String()}, nil
	}
	file := strings.TrimPrefix(location, "file://")
	info, err := os.Stat(file)
	if err != nil {
		return artifact{}, problemf(errFetch, "%s: %w", artifactVariable, err)
	}
	if info.IsDir() {
		if err := needsName("directory"); err != nil {
			return artifact{}, err
		}
		file = filepath.Join(file, pin.name)
	}
	return artifact{pin: pin, file: file}, nil
}

// fetch returns the archive as an open temporary file that is verified and has no name any more.
//
// A local file is copied too: what is verified is then what is unpacked, whoever writes to the original meanwhile.
func (a artifact) fetch(ctx context.Context, stderr io.Writer) (*os.File, error) {
	source, err := a.open(ctx, stderr)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	copied, err := os.CreateTemp("", "boxlite-setup-*")
	if err != nil {
		return nil, err
	}
	// Removed at once, so that it goes with the process however that ends.
	os.Remove(copied.Name())
	hash := sha256.New()
	if _, err = io.Copy(io.MultiWriter(copied, hash), source); err != nil {
		copied.Close()
		return nil, problemf(errFetch, "cannot read %s: %w", a.place(), err)
	}
	if got := sha256Hex(hex.EncodeToString(hash.Sum(nil))); got != a.pin.archive {
		copied.Close()
		return nil, problemf(errChecksum, "%s has the wrong checksum: SHA-256 is %s, pinned is %s", a.place(), got, a.pin.archive).
			hinted("nothing was installed; the file is damaged, or is not the archive of this version")
	}
	if _, err := copied.Seek(0, io.SeekStart); err != nil {
		copied.Close()
		return nil, err
	}
	return copied, nil
}

func (a artifact) place() string {
	if a.file != "" {
		return a.file
	}
	return a.url
}

func (a artifact) open(ctx context.Context, stderr io.Writer) (io.ReadCloser, error) {
	if a.file != "" {
		file, err := os.Open(a.file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, problemf(errFetch, "there is no archive %s", a.file)
		}
		if err != nil {
			return nil, problemf(errFetch, "cannot open the archive: %w", err)
		}
		return file, nil
	}
	fmt.Fprintln(stderr, "downloading", a.url)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, nil)
	if err != nil {
		return nil, problemf(errUsage, "%s: %w", artifactVariable, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = responsePatience
	// An archive is opaque: nothing on the way may unpack it.
	transport.DisableCompression = true
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, problemf(errFetch, "cannot download the archive: %w", err).
			hinted("without a network, set %s to a file or directory that has it", artifactVariable)
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, problemf(errFetch, "cannot download %s: the server answered %s", a.url, response.Status).
			hinted("set %s to another place that has the archive", artifactVariable)
	}
	return response.Body, nil
}
