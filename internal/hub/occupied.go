package hub

import "time"

// EachOccupied calls f for every topic that Options.Occupied was last told is
// occupied: for who begins to ask late. f is called soon, by the topics'
// shards, and must not wait. What changes meanwhile is told as always.
func (h *Hub) EachOccupied(f func(topic string)) {
	for _, sh := range h.shards {
		sh.box.put(item{op: opDo, command: func(sh *shard) {
			for name, t := range sh.topics {
				if t.occupied {
					f(name)
				}
			}
		}})
	}
}

// A session knows when it began in tenths of a second since the hub was made:
// four bytes, for so many of them.
const beganIn = time.Second / 10

func (h *Hub) begin(s *Session) { s.began = uint32(time.Since(h.made) / beganIn) }

// Opened is when the session was added, to a tenth of a second.
func (h *Hub) Opened(s *Session) time.Time { return h.made.Add(time.Duration(s.began) * beganIn) }
