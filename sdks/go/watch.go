package boxlite

/*
#include "library.h"
*/
import "C"

import "encoding/json"

// tellEvents passes on what happens during an operation, until it is over.
func tellEvents[E any](n *native, watched operation, tell func(E)) error {
	for {
		next, err := n.start(func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_operation_next_events(watched.handle, operation, failure)
		})
		if err != nil {
			// The runtime is being shut down, and the operation with it: that has the error.
			return nil
		}
		<-next.done
		events, err := readJSON[[]E](next)
		next.free()
		if err != nil || len(events) == 0 {
			return err
		}
		for _, event := range events {
			tell(event)
		}
	}
}

// readJSON reads what an operation that waited for events gives: nothing if it failed, since what it watched is over then.
func readJSON[T any](waited operation) (told T, err error) {
	var text *C.char
	if C.boxlite_operation_json(waited.handle, &text, nil) != C.BOXLITE_OK {
		return told, nil
	}
	if err := json.Unmarshal(borrowText(text), &told); err != nil {
		return told, &Error{Code: ErrInternal, Message: "the library told events that cannot be read", Source: err}
	}
	return told, nil
}
