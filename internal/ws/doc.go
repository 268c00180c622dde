// Package ws is the server's side of RFC 6455: the opening handshake, frames,
// and a connection's reading, sending, keeping alive and ending.
//
// It accepts connections and reads their requests, or takes over a net.Conn
// after somebody else has; asks an Acceptor, and from then on pushes what comes
// to a Handler. It promises: frames
// of one Send stay together and in order; nobody ever waits for a slow peer;
// memory of a connection is bounded by its Limits and by the bytes that really
// came; an idle connection holds no buffer; OnClose is called exactly once, last.
//
// It knows no topic, user, dialect, JSON or net/http, negotiates no subprotocol
// and no extension, and never lets the panic of a handler out.
package ws
