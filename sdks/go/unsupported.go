//go:build !cgo || !(linux || darwin)

package boxlite

// Without cgo, or on a platform that has no library, this is what the compiler says.
var _ = boxlite_needs_cgo_and_linux_or_darwin
