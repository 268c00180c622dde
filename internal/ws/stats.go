package ws

import "sync/atomic"

// Stats are the counters of a Server since it began; Open is now.
type Stats struct {
	Open        int               // connections that hold a descriptor, being asked about and lingering ones too
	Accepted    uint64            // handshakes answered 101 to stay
	Refused     uint64            // handshakes refused, by us or the Acceptor
	MessagesIn  uint64            // whole messages delivered
	MessagesOut uint64            // frames taken by Send, and replies
	BytesIn     uint64            // after the handshake
	BytesOut    uint64            // taken to be sent, after the handshake
	Pings       uint64            // sent by us
	Drops       uint64            // Sends refused for a full queue
	Stalls      uint64            // connections closed for taking nothing
	Closes      map[uint16]uint64 // how accepted connections ended; a code without a meaning here is counted as 0
}

// counters are Stats as they are counted.
type counters struct {
	open                                       atomic.Int64
	accepted, refused                          atomic.Uint64
	messagesIn, messagesOut, bytesIn, bytesOut atomic.Uint64
	pings, drops, stalls                       atomic.Uint64

	standard [16]atomic.Uint64  // 1000 to 1015
	private  [100]atomic.Uint64 // 4000 to 4099
	other    atomic.Uint64
}

func (n *counters) closed(code uint16) {
	switch {
	case code >= 1000 && code < 1000+uint16(len(n.standard)):
		n.standard[code-1000].Add(1)
	case code >= 4000 && code < 4000+uint16(len(n.private)):
		n.private[code-4000].Add(1)
	default:
		n.other.Add(1)
	}
}

// Stats is a look at the counters.
func (s *Server) Stats() Stats {
	n := &s.count
	st := Stats{
		Open:        int(n.open.Load()),
		Accepted:    n.accepted.Load(),
		Refused:     n.refused.Load(),
		MessagesIn:  n.messagesIn.Load(),
		MessagesOut: n.messagesOut.Load(),
		BytesIn:     n.bytesIn.Load(),
		BytesOut:    n.bytesOut.Load(),
		Pings:       n.pings.Load(),
		Drops:       n.drops.Load(),
		Stalls:      n.stalls.Load(),
		Closes:      map[uint16]uint64{},
	}
	add := func(code uint16, v uint64) {
		if v > 0 {
			st.Closes[code] = v
		}
	}
	for i := range n.standard {
		add(1000+uint16(i), n.standard[i].Load())
	}
	for i := range n.private {
		add(4000+uint16(i), n.private[i].Load())
	}
	add(0, n.other.Load())
	return st
}
