package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
)

// The most a member may hold, so that a wrong archive cannot fill the disk. A library has some tens of mebibytes.
const (
	libraryBytesMax = 2 << 30
	headerBytesMax  = 16 << 20
)

// unpacked are the two members of an archive, as files in a staging directory.
type unpacked struct {
	library, header       string
	librarySum, headerSum sha256Hex
}

// unpack takes the library and the header out of an archive, whatever else it holds, and holds them against the pin.
func unpack(ctx context.Context, archive io.Reader, pin archivePin, staging string) (unpacked, error) {
	files := unpacked{
		library: filepath.Join(staging, "libboxlite.a"),
		header:  filepath.Join(staging, "boxlite.h"),
	}
	malformed := func(err error) (unpacked, error) {
		if ctx.Err() != nil {
			return unpacked{}, ctx.Err()
		}
		return unpacked{}, problemf(errArchive, "the archive cannot be unpacked: %w", err)
	}
	inflated, err := gzip.NewReader(contextReader{ctx, archive})
	if err != nil {
		return malformed(err)
	}
	members := tar.NewReader(inflated)
	for {
		member, err := members.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return malformed(err)
		}
		if member.Typeflag != tar.TypeReg {
			continue
		}
		switch path.Clean(member.Name) {
		case libraryMember:
			files.librarySum, err = writeMember(members, files.library, libraryBytesMax)
		case headerMember:
			files.headerSum, err = writeMember(members, files.header, headerBytesMax)
		}
		if err != nil {
			return malformed(err)
		}
	}
	return files, files.check(pin)
}

func (u unpacked) check(pin archivePin) error {
	if u.librarySum == "" {
		return problemf(errMissingLibrary, "the archive holds no %s", libraryMember)
	}
	if u.headerSum == "" {
		return problemf(errMissingHeader, "the archive holds no %s", headerMember)
	}
	for _, member := range []struct {
		name        string
		got, pinned sha256Hex
	}{{libraryMember, u.librarySum, pin.library}, {headerMember, u.headerSum, pin.header}} {
		if member.pinned != "" && member.got != member.pinned {
			return problemf(errChecksum, "%s in the archive has the wrong checksum: SHA-256 is %s, pinned is %s",
				member.name, member.got, member.pinned)
		}
	}
	return nil
}

// writeMember makes a durable file out of a member, and returns its checksum.
func writeMember(member io.Reader, name string, bytesMax int64) (sha256Hex, error) {
	// A second member of the same name fails here.
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	written, err := io.Copy(io.MultiWriter(file, hash), io.LimitReader(member, bytesMax+1))
	if err != nil {
		return "", err
	}
	if written > bytesMax {
		return "", errors.New("a member is larger than any library could be")
	}
	return sha256Hex(hex.EncodeToString(hash.Sum(nil))), file.Sync()
}

// fileSum returns the checksum of a file, or nothing if it cannot be read.
func fileSum(name string) sha256Hex {
	file, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return ""
	}
	return sha256Hex(hex.EncodeToString(hash.Sum(nil)))
}

// contextReader makes a long copy end when the command is interrupted.
type contextReader struct {
	ctx    context.Context
	reader io.Reader
}

func (c contextReader) Read(buffer []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.reader.Read(buffer)
}
