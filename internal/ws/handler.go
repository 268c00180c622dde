package ws

// Kind is the kind of a message: its opcode on the wire.
type Kind byte

// The kinds of messages.
const (
	Text   Kind = 1 // valid UTF-8
	Binary Kind = 2
)

// Acceptor decides about a well-formed opening handshake. It may block. The Conn
// is not open yet: what is sent on it waits, and leaves behind the 101 in the same
// write, so whoever subscribes c inside the Acceptor misses nothing that is
// published after the peer has seen the answer. Close on it takes effect after
// the 101. A refusal discards what was sent, and then no Handler is ever called:
// undo by hand what was subscribed. A nil *Limits is no limits at all.
type Acceptor func(r *Request, c *Conn) (Handler, *Limits, *Refusal)

// Handler hears one connection. OnMessage and OnPong are called by the reading
// side, one at a time; Ping and OnDrain come from other goroutines and may
// overlap with those; nothing comes after OnClose. A panic closes the connection
// with 1011. A call that waits for something holds up all connections: one that
// is given a Turn calls its Blocking before, and the others must not wait.
type Handler interface {
	// OnMessage is one whole message, in order. p is valid during the call only
	// and may be written to. While it runs, nothing more is read from c.
	OnMessage(t *Turn, c *Conn, k Kind, p []byte)
	// Ping appends the payload of the next ping to dst (at most 125 bytes in
	// all; what is over is cut off).
	Ping(c *Conn, dst []byte) []byte
	// OnPong is a pong, asked for or not. p is valid during the call only.
	OnPong(c *Conn, p []byte)
	// OnDrain is called once after a Send was refused, when what waits has
	// fallen below a quarter of Limits.Queue.
	OnDrain(c *Conn)
	// OnClose is called exactly once, last, and as soon as the end is decided:
	// code and reason are those of whoever closed first; 1005 where the peer
	// gave none, 1006 where it just went.
	OnClose(t *Turn, c *Conn, code uint16, reason string)
}

// Limits of the connections of one dialect; shared by them, never changed. Each
// zero switches its limit off.
type Limits struct {
	MaxMessage int     // bytes of a message; over it 1009, by the length claimed
	Queue      int     // bytes that may wait to be sent, and 64 more for each piece of them; over it Send refuses
	Prove      bool    // what is sent is followed by a ping soon (Options.ProveAfter), whose pong proves that the peer has it
	Pending    int     // Acquired and not Released; at it reading pauses
	Burst      int     // frames of any kind that may come at once; 0 switches the rate off
	Rate       float64 // and then so many a second: reading slows down to it, and after Options.AbuseAfter ends with 4029
}
