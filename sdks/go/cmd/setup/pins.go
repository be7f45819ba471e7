package main

import (
	_ "embed"
	"encoding/hex"
	"path"
	"strings"
)

// The checksums are part of the module, and so covered by the module's own checksum in go.sum: whoever trusts that trusts
// the archive too.
//
//go:embed checksums.txt
var pinnedChecksums string

// Names inside an archive.
const (
	libraryMember = "lib/libboxlite.a"
	headerMember  = "include/boxlite.h"
)

const (
	archivePrefix = "boxlite-c-v"
	archiveSuffix = ".tar.gz"
)

// sha256Hex is a digest in lower-case hexadecimal; empty where none is known.
type sha256Hex string

func parseSHA256(text string) (sha256Hex, bool) {
	decoded, err := hex.DecodeString(text)
	return sha256Hex(strings.ToLower(text)), err == nil && len(decoded) == 32
}

// archivePin is what is known beforehand of the archive for one platform.
type archivePin struct {
	name    string
	archive sha256Hex
	library sha256Hex
	header  sha256Hex
}

// parsePins reads lines as `sha256sum` prints them, by platform. A member of an archive is named `<archive without
// suffix>/<member>`.
func parsePins(text string) (map[string]archivePin, error) {
	pins := map[string]archivePin{}
	members := map[string]sha256Hex{}
	for number, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 2 {
			return nil, problemf(errNoPin, "checksums.txt, line %d: expected a checksum and a name", number+1)
		}
		sum, ok := parseSHA256(fields[0])
		if !ok {
			return nil, problemf(errNoPin, "checksums.txt, line %d: %q is no SHA-256", number+1, fields[0])
		}
		name := strings.TrimPrefix(fields[1], "*")
		if !strings.HasPrefix(name, archivePrefix) {
			continue
		}
		if !strings.HasSuffix(name, archiveSuffix) {
			members[name] = sum
			continue
		}
		// Versions may have dashes of their own; a platform is always the last two words.
		words := strings.Split(strings.TrimSuffix(name, archiveSuffix), "-")
		platform := strings.Join(words[max(0, len(words)-2):], "-")
		pins[platform] = archivePin{name: name, archive: sum}
	}
	for platform, pin := range pins {
		stem := strings.TrimSuffix(pin.name, archiveSuffix)
		pin.library, pin.header = members[path.Join(stem, libraryMember)], members[path.Join(stem, headerMember)]
		pins[platform] = pin
	}
	return pins, nil
}

// version returns the release the archive belongs to, with the leading `v`.
func (p archivePin) version(platform string) string {
	version := strings.TrimPrefix(p.name, strings.TrimSuffix(archivePrefix, "v"))
	return strings.TrimSuffix(version, "-"+platform+archiveSuffix)
}
