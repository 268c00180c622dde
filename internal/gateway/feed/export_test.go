package feed

// AskAlways makes the gateway ask with each line whose name it is said under.
func (g *Gateway) AskAlways() { g.nameHolds = 0 }
