package main

// platforms are those an archive can be for, by GOOS and GOARCH. None is released for darwin so far: setup takes one of
// one's own there.
var platforms = map[[2]string]bool{
	{"linux", "amd64"}:  true,
	{"linux", "arm64"}:  true,
	{"darwin", "arm64"}: true,
}

// platformName returns how archives spell the platform, as `linux-amd64`.
func platformName(goos, goarch string) (string, error) {
	if !platforms[[2]string{goos, goarch}] {
		return "", problemf(errPlatform, "BoxLite has no library for %s/%s", goos, goarch).
			hinted("linux/amd64 and linux/arm64 are supported")
	}
	return goos + "-" + goarch, nil
}
