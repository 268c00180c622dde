package feed

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/status"
)

const maxClient = 64 // bytes

// query is what an upgrade asks for.
type query struct {
	json, presence, acks, epoch, skip bool

	name   string // clean
	client string
	after  string
	last   uint64 // 0: none
}

// parseQuery reads the query of an upgrade. What is not in doc.go is passed over,
// but for a slip of the pen (gateway.CheckQuery).
func parseQuery(v url.Values) (q query, err error) {
	if err := gateway.CheckQuery(v, "name", "format", "slow", "presence", "acks", "client", "after", "last", "epoch", "close_reason"); err != nil {
		return q, err
	}
	switch f := v.Get("format"); f {
	case "", "plain":
	case "json":
		q.json = true
	default:
		return q, status.Errorf(status.Invalid, "BAD_FORMAT", "format %q is unknown: write plain or json", cut(f))
	}
	switch s := v.Get("slow"); s {
	case "":
	case "skip":
		q.skip = true
	default:
		return q, status.Errorf(status.Invalid, "BAD_SLOW", "slow %q is unknown: write skip, or leave it out", cut(s))
	}
	if q.json {
		q.presence, q.acks = v.Get("presence") == "1", v.Get("acks") == "1"
		q.epoch = v.Has("after") || v.Get("epoch") == "1"
	}
	if q.client = v.Get("client"); len(q.client) > maxClient {
		return q, status.Errorf(status.Invalid, "BAD_CLIENT", "client may have %d bytes", maxClient)
	}
	q.after = v.Get("after")
	if last := v.Get("last"); last != "" {
		if q.last, err = strconv.ParseUint(last, 10, 64); err != nil {
			return q, status.Errorf(status.Invalid, "BAD_LAST", "last %q is no number of lines", cut(last))
		}
		if q.after != "" {
			return q, status.Errorf(status.Invalid, "BAD_LAST", "last and after exclude each other: write one of them")
		}
	}
	q.name, err = account.CleanName(v.Get("name"))
	q.name = strings.Clone(q.name) // it stays with the session, and the query does not
	return q, err
}

// cut keeps what is said back short.
func cut(s string) string {
	if len(s) > 32 {
		return s[:32] + "…"
	}
	return s
}

// derived marks the session keys that are no login's id.
const derived = 1 << 63

// key is what a session's own lines are known by, and kept from it.
func key(login uint64, client string) uint64 {
	switch {
	case client != "":
		b := binary.BigEndian.AppendUint64([]byte("feed client\x00"), login)
		sum := sha256.Sum256(append(b, client...))
		return binary.BigEndian.Uint64(sum[:]) | derived
	case login != 0:
		return login
	}
	return rand.Uint64() | derived //nolint:gosec // unlike others is enough: a client cannot name it
}
