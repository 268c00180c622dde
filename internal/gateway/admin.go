package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Admin is the administrator's key. Hashes of it compare in constant time,
// whatever length is given.
type Admin struct {
	set  bool
	hash [32]byte
}

// NewAdmin keeps a key; "" opens nothing.
func NewAdmin(key string) Admin { return Admin{key != "", sha256.Sum256([]byte(key))} }

// Is says whether a request carries the key, as `apikey` or as Bearer.
func (a Admin) Is(r *http.Request) bool {
	key := r.Header.Get("apikey")
	if key == "" {
		key = Bearer(r.Header)
	}
	given := sha256.Sum256([]byte(key))
	return a.set && subtle.ConstantTimeCompare(given[:], a.hash[:]) == 1
}

// Bearer is the token of an Authorization header of that scheme, "" for none.
func Bearer(h http.Header) string {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(h.Get("Authorization")), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(rest)
	}
	return ""
}
