package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/api"
	"github.com/kabar-io/kabar/internal/canary"
	"github.com/kabar-io/kabar/internal/gateway/bot"
	"github.com/kabar-io/kabar/internal/gateway/direct"
	"github.com/kabar-io/kabar/internal/gateway/events"
	"github.com/kabar-io/kabar/internal/gateway/feed"
	"github.com/kabar-io/kabar/internal/gateway/relay"
	"github.com/kabar-io/kabar/internal/hub"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/journal"
)

// newCanary makes the canary, nil where it is off. What it says is a notice,
// which all dialects write but that of events.
func (s *server) newCanary() *canary.Canary {
	if s.c.Canary.Every == 0 {
		return nil
	}
	notice := func(text string) *journal.Message {
		data, _ := account.Notice{Text: text}.Encode() // it is short
		return &journal.Message{Kind: account.KindNotice, Data: data}
	}
	const event = "status.instance"
	return canary.New(canary.Options{
		Hub: s.hub, Journal: s.journal, Dial: s.dialSelf, Every: s.c.Canary.Every,
		Keep: func(tx *journal.Tx, gateway string) error {
			return s.store.SavePositions(tx, []hub.Acked{{Owner: "canary/" + gateway, Topic: "canary", Seq: uint64(tx.Now().UnixMilli())}})
		},
		Gateways: []canary.Gateway{
			{Name: "direct", Format: direct.Format{}, Say: notice},
			{Name: "relay", Format: relay.Format{Notices: true}, Say: notice},
			{Name: "bot", Format: bot.Format{}, Say: notice},
			{Name: "feed", Format: feed.Format{JSON: true}, Say: notice},
			{Name: "events", Format: events.FormatOf(event), Say: func(text string) *journal.Message {
				return &journal.Message{Kind: instance.KindEvent, Data: fmt.Appendf(nil, `{"event":%q,"instance":null,"data":%q}`, event, text)}
			}},
		},
	})
}

// errStuck is why there is no canary while the journal is in trouble, which says
// more of that.
var errStuck = errors.New("nothing can be stored")

// canaryPart is whether what is said arrives.
func (s *server) canaryPart() api.Part {
	since, why := s.canary.Failing()
	if stuck, err := s.journal.Failing(); why == nil && err != nil {
		return api.Failing("canary", stuck, errStuck)
	}
	return api.Failing("canary", since, why)
}

// dialSelf connects to the first address that the server listens on. Under TLS
// the certificate must be the one that is used, whatever name it has, and valid
// at this time: it is for others to find it good.
func (s *server) dialSelf(ctx context.Context) (net.Conn, error) {
	at := s.listeners[0].Addr()
	to := at.String()
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		to = net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	if s.tls == nil {
		return new(net.Dialer).DialContext(ctx, at.Network(), to)
	}
	d := tls.Dialer{Config: &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // its key is ours: see VerifyConnection
		VerifyConnection: func(c tls.ConnectionState) error {
			ours, err := s.tls.GetCertificate(nil)
			if err != nil {
				return err
			}
			is := c.PeerCertificates[0]
			switch now := time.Now(); {
			case string(is.Raw) != string(ours.Certificate[0]):
				return errors.New("the certificate is not that of tls.cert")
			case now.After(is.NotAfter):
				return fmt.Errorf("the certificate of tls.cert has expired: it was valid until %s", is.NotAfter.Format(time.RFC3339))
			case now.Before(is.NotBefore):
				return fmt.Errorf("the certificate of tls.cert is not valid yet: it begins %s", is.NotBefore.Format(time.RFC3339))
			}
			return nil
		},
	}}
	return d.DialContext(ctx, at.Network(), to)
}
