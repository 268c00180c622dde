// Package transcript runs golden transcripts of a dialect: text files in which
// named clients talk to a whole server, so that one page is test, documentation
// and review. Only tests import it.
//
// The server is real: a data folder in a temporary place, journal, hub, core,
// sockets on a port of its own; the gateway under test is built on it by the
// caller. The clients are another's (coder/websocket). See Run for the words of
// a transcript, and Start for a server without one.
//
// After each line that does something the runner waits until all that it caused
// has reached every client, without a pause or a message of its own: so a frame
// that is missing or too many fails at the line that it belongs to. Only what is
// in no journal (who is here) and streams (SSE) can come later; a line of what
// came waits for them.
package transcript
