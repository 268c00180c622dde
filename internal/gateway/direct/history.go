package direct

import (
	"net/http"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/gateway"
)

// page is how many messages one answer holds.
const page = 100

// line is a message of the past.
type line struct {
	ID        string
	CreatedAt string // RFC 3339 with nanoseconds
	UserID    uint64 // who said it
	Content   string
}

// history is GET /api/message?to=&cursor= → data:{message:[…] or null,
// next_cursor}, newest first, 100 a page; cursor 0 or none is the newest page,
// next_cursor 0 the end.
func (g *Gateway) history(w http.ResponseWriter, r *http.Request, me account.User) error {
	q := r.URL.Query()
	to, err := number("to", q.Get("to"))
	if err != nil {
		return err
	}
	before := uint64(0)
	if c := q.Get("cursor"); c != "" {
		if before, err = number("cursor", c); err != nil {
			return err
		}
	}
	ms, next, err := g.o.Chats.History(r.Context(), me.ID, chat.Place{User: to}, before, page)
	if err != nil {
		return err
	}
	var data struct {
		Message []line `json:"message"`
		Next    uint64 `json:"next_cursor"`
	}
	data.Next = next
	for _, m := range ms {
		if m.Deleted || m.Call != nil { // the dialect has no words for either
			continue
		}
		data.Message = append(data.Message, line{m.ID, m.Time.Format(time.RFC3339Nano), m.Sender.ID, m.Text})
	}
	gateway.WriteJSON(w, http.StatusOK, struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
		Data    any    `json:"data"`
	}{http.StatusOK, "success", data})
	return nil
}
