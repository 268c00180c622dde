package relay

import "context"

// Bootstrap takes a login's turn to bootstrap, until over.
func (g *Gateway) Bootstrap(ctx context.Context, login uint64) (over func(), ok bool) {
	return g.boots.take(ctx, login)
}
