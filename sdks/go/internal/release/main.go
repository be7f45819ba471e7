// Command release makes what a release of this module is: the archive with the native library for one platform, the
// checksums that cmd/setup pins, and a file-based module proxy that serves the module with those checksums in it.
//
//	go run ./internal/release -version v0.1.0 -stage DIR -out DIST
//
// Run once for each platform with the same -out, it adds to the checksums; the proxy always has all of them. The same
// input makes the same bytes. Publishing is not its business: dist.sh calls it, and the test of outside consumers uses
// what comes out.
package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"

	"github.com/boxlite-ai/boxlite/sdks/go/internal/modproxy"
)

const modulePath = "github.com/boxlite-ai/boxlite/sdks/go"

// members are what an archive holds, in this order.
var members = []string{"include/boxlite.h", "lib/libboxlite.a"}

func main() {
	version := flag.String("version", "", "version of the release, as `vX.Y.Z`")
	platform := flag.String("platform", runtime.GOOS+"-"+runtime.GOARCH, "platform of the library, as `os-arch`")
	stage := flag.String("stage", "", "`directory` with include/boxlite.h and lib/libboxlite.a; none if the archive is there already")
	out := flag.String("out", "", "`directory` the release goes to")
	root := flag.String("module", ".", "`directory` of go.mod")
	flag.Parse()
	if !strings.HasPrefix(*version, "v") || *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := release(*version, *platform, *stage, *out, *root); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func release(version, platform, stage, out, root string) error {
	stem := "boxlite-c-" + version + "-" + platform
	archive := filepath.Join(out, stem+".tar.gz")
	if stage != "" {
		if err := writeArchive(archive, stage); err != nil {
			return err
		}
	}
	sums, err := sumArchive(archive, stem)
	if err != nil {
		return err
	}
	checksums, err := mergeChecksums(filepath.Join(out, "checksums.txt"), version, stem, sums)
	if err != nil {
		return err
	}
	module := modproxy.Module{
		Path: modulePath, Version: version, Root: root,
		Replace: map[string][]byte{"cmd/setup/checksums.txt": checksums},
	}
	return module.Write(filepath.Join(out, "proxy"))
}

// writeArchive packs the members.
func writeArchive(name, stage string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	deflated := gzip.NewWriter(file)
	archive := tar.NewWriter(deflated)
	for _, member := range members {
		if err := addMember(archive, member, filepath.Join(stage, filepath.FromSlash(member))); err != nil {
			return err
		}
	}
	for _, closer := range []io.Closer{archive, deflated, file} {
		if err := closer.Close(); err != nil {
			return err
		}
	}
	return nil
}

func addMember(archive *tar.Writer, member, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: member, Size: info.Size(), Mode: 0o644, Format: tar.FormatUSTAR}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, file)
	return err
}

// sumArchive returns the checksums of an archive and of what setup takes out of it, by the names that setup knows them by.
func sumArchive(name, stem string) (map[string]string, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sums, whole := map[string]string{}, sha256.New()
	packed := io.TeeReader(file, whole)
	inflated, err := gzip.NewReader(packed)
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(inflated)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		member := path.Clean(header.Name)
		if !slices.Contains(members, member) {
			continue
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, archive); err != nil {
			return nil, err
		}
		sums[stem+"/"+member] = hex.EncodeToString(hash.Sum(nil))
	}
	if len(sums) != len(members) {
		return nil, fmt.Errorf("%s does not hold %s", name, strings.Join(members, " and "))
	}
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return nil, err
	}
	sums[stem+".tar.gz"] = hex.EncodeToString(whole.Sum(nil))
	return sums, nil
}

// mergeChecksums replaces the lines of one archive in a file of checksums, and drops those of other versions.
func mergeChecksums(name, version, stem string, sums map[string]string) ([]byte, error) {
	known, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(known)) {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			continue
		}
		archive := strings.TrimSuffix(strings.SplitN(fields[1], "/", 2)[0], ".tar.gz")
		if archive != stem && strings.HasPrefix(archive, "boxlite-c-"+version+"-") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	for member, sum := range sums {
		lines = append(lines, sum+"  "+member)
	}
	sort.Slice(lines, func(i, j int) bool { return strings.Fields(lines[i])[1] < strings.Fields(lines[j])[1] })
	checksums := []byte(strings.Join(lines, "\n") + "\n")
	return checksums, os.WriteFile(name, checksums, 0o644)
}
