package boxlite

/*
#cgo CFLAGS: -I${SRCDIR}/include
#cgo linux LDFLAGS: -L${SRCDIR} -l:libboxlite.a -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
#cgo darwin LDFLAGS: -L${SRCDIR} -lboxlite -framework Security -framework CoreFoundation -liconv -lm -lc

#include <string.h>
#include "library.h"
*/
import "C"

import (
	"fmt"
	"strings"
	"unsafe"
)

// takeError turns an error object of the library into an Error, and frees it.
func takeError(failure *C.boxlite_error) *Error {
	if failure == nil {
		return &Error{Code: ErrInternal, Message: "the library failed without saying why"}
	}
	defer C.boxlite_error_free(failure)
	code := ErrorCode(C.boxlite_error_status(failure))
	return decodeError(code, borrowText(C.boxlite_error_json(failure)))
}

// borrowText returns the bytes of a text that belongs to the library: to be read at once, and not kept.
func borrowText(text *C.char) []byte {
	if text == nil {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(text)), int(C.strlen(text)))
}

// cText is a text for one call of the library, in Go's own memory; nil for a text that is not there.
type cText []byte

// newText makes a text for C, which cannot have a NUL in it.
func newText(text string) (cText, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return nil, &Error{Code: ErrInvalidArgument, Message: fmt.Sprintf("%q contains a NUL", text)}
	}
	return append(append(make(cText, 0, len(text)+1), text...), 0), nil
}

// pointer returns what C reads. The text has to be kept alive until the call is over.
func (t cText) pointer() *C.char {
	if t == nil {
		return nil
	}
	return (*C.char)(unsafe.Pointer(unsafe.SliceData(t)))
}

// optionalText makes a text for C, which is not there if it is empty.
func optionalText(text string) (cText, error) {
	if text == "" {
		return nil, nil
	}
	return newText(text)
}
