// Package gateway is what the dialects share at the border: who may call from
// where, which credential a request carries, how an HTTP upgrade becomes a
// connection of ws and that a session of the hub, how a position is written,
// and how the parts of a page are served. Each dialect is a package below it and says the rest in its own
// words.
//
// It owns no rule of who may do what, and no dialect's words.
package gateway
