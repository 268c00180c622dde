// Package status is the vocabulary of errors that a client may know: a code,
// a stable reason and a sentence for people. It owns how a code reads as an
// HTTP status, as a WebSocket close code and as a word. It is a leaf: it knows
// nothing of who failed at what, and an error that is not one of its own is
// internal and never shown.
package status

import (
	"errors"
	"fmt"
)

// Code says what kind of failure it was, and so what the client should do.
type Code byte

// The codes, each with its HTTP status and WebSocket close code in the table below.
const (
	Internal        Code = iota // our fault: come back with back-off
	Invalid                     // the request is wrong: mend it
	Unauthenticated             // credential missing, wrong, spent, expired or withdrawn
	Forbidden                   // known, and not allowed
	NotFound                    // no such thing
	Conflict                    // it is already so, or taken
	Gone                        // that position cannot be served
	TooLarge                    // over a size limit
	TooMany                     // over a rate limit: come back later
	Unavailable                 // cannot be stored or served now: come back with back-off
)

var table = [...]struct {
	name  string
	http  int
	close uint16
}{
	Internal:        {"INTERNAL", 500, 1011},
	Invalid:         {"INVALID", 400, 4004},
	Unauthenticated: {"UNAUTHENTICATED", 401, 4001},
	Forbidden:       {"FORBIDDEN", 403, 4003},
	NotFound:        {"NOT_FOUND", 404, 4004},
	Conflict:        {"CONFLICT", 409, 4003},
	Gone:            {"GONE", 410, 4010},
	TooLarge:        {"TOO_LARGE", 413, 1009},
	TooMany:         {"TOO_MANY", 429, 4029},
	Unavailable:     {"UNAVAILABLE", 503, 1011},
}

// String is the code's word, as it stands on the wire where a dialect has none of its own.
func (c Code) String() string { return table[c].name }

// HTTP is the code's HTTP status.
func (c Code) HTTP() int { return table[c].http }

// Close is the code's WebSocket close code.
func (c Code) Close() uint16 { return table[c].close }

// Error is a failure that a client may know.
type Error struct {
	Code    Code
	Reason  string // a stable word, such as ALREADY_FRIEND; the code's own where it was left empty
	Message string // a sentence: what was wrong, and what to do
}

// Errorf makes an Error. An empty reason becomes the code's own word.
func Errorf(code Code, reason, format string, args ...any) *Error {
	if reason == "" {
		reason = code.String()
	}
	return &Error{Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Message }

// HTTP is the HTTP status of the error.
func (e *Error) HTTP() int { return e.Code.HTTP() }

// Close is the WebSocket close code of the error.
func (e *Error) Close() uint16 { return e.Code.Close() }

// Is makes two errors with the same code and reason equal for errors.Is, so
// that a core package can export one of its errors and add words to it.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code && t.Reason == e.Reason
}

// hidden is what a client learns of an internal error: nothing.
var hidden = Error{Code: Internal, Reason: "INTERNAL", Message: "something went wrong on the server; it has been logged"}

// Of is err as a client may know it. It is nil only for a nil err; what is not
// an Error is internal, and its text stays here.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	h := hidden
	return &h
}
