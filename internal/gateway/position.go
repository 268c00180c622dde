package gateway

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/status"
)

// AppendPosition writes a position as it stands in pings and queries.
func AppendPosition(dst []byte, epoch string, seq uint64) []byte {
	dst = append(dst, epoch...)
	dst = append(dst, ':')
	return strconv.AppendUint(dst, seq, 10)
}

// ParsePosition reads "<seq>" or "<epoch>:<seq>". A position of another epoch
// is a *hub.GoneError, which lacks the head; what is no position at all is an
// invalid argument.
func ParsePosition(text, epoch string) (uint64, error) {
	e, n, both := strings.Cut(text, ":")
	if !both {
		e, n = epoch, text
	}
	seq, err := strconv.ParseUint(n, 10, 64)
	if err != nil || e == "" {
		return 0, status.Errorf(status.Invalid, "BAD_POSITION", "%.80q is not a position: write <seq> or <epoch>:<seq>", text)
	}
	if e != epoch {
		return 0, &hub.GoneError{Reason: "epoch"}
	}
	return seq, nil
}

// Expired says what a message of hub.KindExpired says, in words for people.
func Expired(m *journal.Message) string {
	var d hub.Skipped
	if json.Unmarshal(m.Data, &d) != nil {
		return ""
	}
	return "the oldest of what you missed is not kept any more: " + strconv.FormatUint(d.Count, 10) + " of it"
}
