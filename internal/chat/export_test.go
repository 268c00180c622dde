package chat

import "time"

// SetBeat changes how often it is kept that a server runs.
func (s *Service) SetBeat(every time.Duration) { s.beat = every }
