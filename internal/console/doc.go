// Package console is the pages for people: /try, where somebody logs in once
// and uses each of the gateways by hand, side by side, and /setup, where the
// first administrator sets a password.
//
// It is an edge. What the pages do they do as any client does, by the gateways'
// own routes and sockets; here stand only what they are made of, the account of
// the first administrator, and who it is that a session cookie belongs to.
//
// The pages load nothing from other servers and have no build step: modules, a
// style sheet, words in English and Indonesian.
package console
