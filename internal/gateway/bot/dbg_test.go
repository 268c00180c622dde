package bot

import "fmt"

func (g *Gateway) Dbg() string {
	out := ""
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.lanes {
		for _, s := range l.sockets() {
			s.turns.mu.Lock()
			out += fmt.Sprintf("busy %v queued %v heard %d full %d unsent %d blocked %v drained %v q %d; ", s.turns.busy, s.turns.queued, len(s.turns.heard), len(s.turns.full), len(s.turns.unsent), s.turns.blocked, s.turns.drained, s.conn.Queued())
			s.turns.mu.Unlock()
			for k, e := range s.hearing.ears {
				out += fmt.Sprint(k, " ", e.session.Position())
			}
		}
	}
	return out
}
