// Package outbound is the server's only way to other hosts over HTTP: what
// webhooks and processes call goes through it.
//
// It promises: an address that is not public is not called unless it is
// allowed, whatever name led there: all that a name resolves to is looked at,
// and the address that is dialled once more; no redirect is followed, no other
// protocol spoken and no proxy asked; TLS is verified; a try ends in time, and
// what is read of an answer is bounded.
package outbound
