package api

import (
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

func (a *API) event(p publication, _ journal.Key) (*journal.Pending, string, error) {
	return nil, "", status.Errorf(status.NotFound, "NO_INSTANCE", "there is no instance %q", p.Instance)
}
