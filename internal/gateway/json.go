package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/status"
)

// maxBody bounds the body of a request: nothing here needs more, and more
// would cost memory before anybody is known.
const maxBody = 64 << 10

// JSON is a value as a JSON body, with <, > and & as they are.
func JSON(v any) Body {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // a gateway's own types always encode
	}
	return Body{"application/json; charset=utf-8", b.Bytes()}
}

// WriteJSON answers with a JSON body.
func WriteJSON(w http.ResponseWriter, code int, v any) {
	b := JSON(v)
	w.Header().Set("Content-Type", b.Type)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes) // who has gone does not hear it
}

// Unexpected says whether an error is the server's own fault, to be logged: not
// one that a client may know, and not that the client has gone.
func Unexpected(ctx context.Context, err error) bool {
	return ctx.Err() == nil && status.Of(err).Code == status.Internal
}

// ReadJSON reads a request's body into v. An empty body leaves v as it is. The
// error says what is wrong where.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := ReadBody(w, r, maxBody)
	if err != nil || len(bytes.TrimSpace(b)) == 0 {
		return err
	}
	return DecodeJSON(b, v)
}

// IdempotencyKey is what makes a request that comes twice one; "" for none.
func IdempotencyKey(r *http.Request) (string, error) {
	k := r.Header.Get("Idempotency-Key")
	if len(k) > 255 {
		return "", status.Errorf(status.Invalid, "BAD_KEY", "the Idempotency-Key may have 255 bytes")
	}
	return k, nil
}

// ReadBody reads a request's body of at most limit bytes.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, status.Errorf(status.TooLarge, "", "the body may have %d bytes", limit)
	case err != nil:
		return nil, status.Errorf(status.Invalid, "BAD_BODY", "the body could not be read: %v", err)
	}
	return b, nil
}

// DecodeJSON reads one JSON value, all of b, and says what is wrong where.
func DecodeJSON(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return status.Errorf(status.Invalid, "NOT_JSON", "not JSON: %v at byte %d", err, syntax.Offset)
	case errors.As(err, &kind) && kind.Field != "":
		return status.Errorf(status.Invalid, "WRONG_TYPE", "%s must be %s, not %s", kind.Field, typeName(kind.Type.String()), kind.Value)
	case errors.As(err, &kind):
		return status.Errorf(status.Invalid, "WRONG_TYPE", "the body must be %s, not %s", typeName(kind.Type.String()), kind.Value)
	}
	return status.Errorf(status.Invalid, "NOT_JSON", "not JSON: %v", err)
}

func typeName(t string) string {
	switch t {
	case "string", "bool":
		return "a " + t
	case "uint64":
		return "a whole number from 0"
	case "int64", "int", "float64":
		return "a number"
	}
	return "an object"
}

const hex = "0123456789abcdef"

// AppendString appends a JSON string. What is not UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), `\ufffd`...)
				start = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
