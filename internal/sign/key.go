package sign

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// The asymmetric half of Standard Webhooks: who holds the public key can check
// a request, and cannot make one.
const (
	prefixPublic = "whpk_"
	versionKey   = "v1a,"
)

// DeriveKey is the Ed25519 key that belongs to a key and a label, as Derive is
// the secret.
func DeriveKey(key []byte, label string) ed25519.PrivateKey {
	seed, err := hkdf.Key(sha256.New, key, nil, "kabar/sign/ed25519/"+label, ed25519.SeedSize)
	if err != nil {
		panic(err) // only a length that the hash cannot give fails
	}
	return ed25519.NewKeyFromSeed(seed)
}

// PublicKey is what a receiver checks the signatures of a key with: whpk_ and
// base64. It is no secret.
func PublicKey(key ed25519.PrivateKey) string {
	return prefixPublic + base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}

// content is what is signed.
func content(id, stamp string, body []byte) []byte {
	b := make([]byte, 0, len(id)+len(stamp)+len(body)+2)
	b = append(append(b, id...), '.')
	b = append(append(b, stamp...), '.')
	return append(b, body...)
}

// WithKeys adds the signatures of keys to Headers of the same id, time and body.
func WithKeys(headers map[string]string, id string, at time.Time, body []byte, keys ...ed25519.PrivateKey) {
	text := content(id, strconv.FormatInt(at.Unix(), 10), body)
	for _, k := range keys {
		headers[HeaderSignature] += " " + versionKey + base64.StdEncoding.EncodeToString(ed25519.Sign(k, text))
	}
}

// VerifyKey is Verify by a public key (whpk_…).
func VerifyKey(public string, header func(name string) string, body []byte, now time.Time) error {
	text, is := strings.CutPrefix(public, prefixPublic)
	key, err := base64.StdEncoding.DecodeString(text)
	if !is || err != nil || len(key) != ed25519.PublicKeySize {
		return ErrPublicKey
	}
	signed := content(header(HeaderID), header(HeaderTimestamp), body)
	return check(header, now, func(given string) bool {
		text, is := strings.CutPrefix(given, versionKey)
		sig, err := base64.StdEncoding.DecodeString(text)
		return is && err == nil && ed25519.Verify(key, signed, sig)
	})
}
