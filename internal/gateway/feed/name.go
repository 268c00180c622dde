package feed

import (
	"context"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/status"
)

var errNameHeld = status.Errorf(status.Forbidden, "NAME_TAKEN", "this name belongs to an account; log in to it, or choose another")

// mayUse says whether somebody, u.ID 0 for nobody, may go by a clean name.
func mayUse(ctx context.Context, accounts *account.Service, u account.User, name string) error {
	if name == "" || u.ID != 0 && u.Named(name) {
		return nil
	}
	taken, err := accounts.NameTaken(ctx, name)
	if err == nil && taken {
		err = errNameHeld
	}
	return err
}
