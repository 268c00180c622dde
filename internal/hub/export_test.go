package hub

// SetCrowd makes groups of n sessions crowds. It comes before Run.
func (h *Hub) SetCrowd(n int) { h.crowd = n }

// SaveMost is how many positions are saved at once.
const SaveMost = saveMost
