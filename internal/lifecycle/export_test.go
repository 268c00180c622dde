package lifecycle

// Waiting is how much is to be said and not on its way.
func (s *Service) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.news) + len(s.closed)
}
