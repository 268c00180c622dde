package sign

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed request.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

const (
	prefix  = "whsec_"
	version = "v1,"

	derivedBytes = 32
	minBytes     = 24 // of a secret that is given: less could be guessed
	maxBytes     = 64
)

// Tolerance is how far a signature's time may be from the receiver's clock:
// past it somebody may be sending again what he overheard.
const Tolerance = 5 * time.Minute

// Why a secret or a signature is not taken.
var (
	ErrSecret    = errors.New("sign: a secret is whsec_ and the base64 of 24 to 64 bytes")
	ErrPublicKey = errors.New("sign: a public key is whpk_ and the base64 of 32 bytes")
	ErrSignature = errors.New("sign: the signature is not of this secret")
	ErrTime      = errors.New("sign: the time of the signature is too far from now")
)

// NewSecret makes a secret. It is letters and digits only, so that it is marked
// with one click, and stands in any file without quotes.
func NewSecret() string {
	return prefix + rand.Text() + rand.Text() // base64 of 39 bytes, with 260 bits that nobody knows
}

// Derive is the secret that belongs to a key and a label: the same for the
// same, and nothing is learned from it of the key or of another label's.
func Derive(key []byte, label string) string {
	b, err := hkdf.Key(sha256.New, key, nil, "kabar/sign/"+label, derivedBytes)
	if err != nil {
		panic(err) // only a length that the hash cannot give fails
	}
	return prefix + base64.StdEncoding.EncodeToString(b)
}

func decode(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, prefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < minBytes || len(key) > maxBytes {
		return nil, ErrSecret
	}
	return key, nil
}

// Check says whether a text is a secret.
func Check(secret string) error {
	_, err := decode(secret)
	return err
}

// Headers are what makes a request with this id and body a signed one. While a
// secret is replaced, the signatures of the others stand beside its own.
func Headers(secret, id string, at time.Time, body []byte, others ...string) (map[string]string, error) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	var all []string
	for _, s := range append([]string{secret}, others...) {
		key, err := decode(s)
		if err != nil {
			return nil, err
		}
		all = append(all, version+signature(key, id, stamp, body))
	}
	return map[string]string{HeaderID: id, HeaderTimestamp: stamp, HeaderSignature: strings.Join(all, " ")}, nil
}

func signature(key []byte, id, stamp string, body []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(id + "." + stamp + "."))
	h.Write(body)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// Verify says whether a request was signed with the secret, not long before
// now. header gives a header of it by its name, in any case.
func Verify(secret string, header func(name string) string, body []byte, now time.Time) error {
	key, err := decode(secret)
	if err != nil {
		return err
	}
	want := []byte(signature(key, header(HeaderID), header(HeaderTimestamp), body))
	return check(header, now, func(given string) bool {
		text, is := strings.CutPrefix(given, version)
		return is && hmac.Equal([]byte(text), want)
	})
}

// check says whether one of a request's signatures is good, and its time.
func check(header func(name string) string, now time.Time, good func(given string) bool) error {
	found := false
	for given := range strings.FieldsSeq(header(HeaderSignature)) {
		found = good(given) || found
	}
	seconds, err := strconv.ParseInt(header(HeaderTimestamp), 10, 64)
	switch {
	case !found || header(HeaderID) == "" || err != nil:
		return ErrSignature
	case now.Sub(time.Unix(seconds, 0)).Abs() > Tolerance:
		return ErrTime
	}
	return nil
}
