// Package sign signs what the server sends to other hosts, and checks such
// signatures, as Standard Webhooks 1.0 writes them: an id, a time and a body,
// HMAC-SHA256 under a secret that is whsec_ and base64 (v1), and Ed25519 under a
// key whose public half is whpk_ and base64 (v1a). It is a leaf: it knows
// no wire, and keeps nothing.
package sign
