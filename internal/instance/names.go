package instance

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kabar-io/kabar/internal/likeness"
	"github.com/kabar-io/kabar/internal/status"
)

// The names that mean something to the server itself.
const (
	connectionUpdate = "connection.update"
	qrcodeUpdated    = "qrcode.updated"
	refreshToken     = "refresh.token"

	historySet = "messaging-history.set" // too much for a socket
)

// The names of what only the server itself says (package lifecycle).
const (
	UserOnline    = "user.online"
	UserOffline   = "user.offline"
	TopicOccupied = "topic.occupied"
	TopicVacated  = "topic.vacated"
	SessionClosed = "session.closed"
)

var serversOwn = []string{UserOnline, UserOffline, TopicOccupied, TopicVacated, SessionClosed}

// builtIn are the names that need no configuration.
var builtIn = []string{
	qrcodeUpdated, connectionUpdate, "status.instance", "messages.set", "messages.upsert", "messages.update", "send.message",
	"contacts.set", "contacts.upsert", "contacts.update", "presence.update", "chats.set", "chats.update", "chats.upsert", "chats.delete",
	"groups.upsert", "groups.update", "group-participants.update", refreshToken, "call.upsert", "labels.association", "labels.edit",
	historySet,
}

// nameForm needs no escape in JSON, a query or a path.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

const maxEventName = 64

// Names are the names that events may have. They do not change.
type Names struct {
	list []string
	set  map[string]struct{}
}

func newNames(more []string) (*Names, error) {
	n := &Names{set: map[string]struct{}{}}
	for _, name := range slices.Concat(builtIn, serversOwn, more) {
		if len(name) > maxEventName || !nameForm.MatchString(name) {
			return nil, fmt.Errorf("instance: %q cannot be an event's name", name)
		}
		if !n.Known(name) {
			n.set[name] = struct{}{}
			n.list = append(n.list, name)
		}
	}
	return n, nil
}

// All are the names, the built-in ones first.
func (n *Names) All() []string { return slices.Clone(n.list) }

// Sayable are the names of events that anybody else than the server may say.
func (n *Names) Sayable() []string {
	return slices.DeleteFunc(n.All(), func(name string) bool { return slices.Contains(serversOwn, name) })
}

// Known says whether an event may have this name.
func (n *Names) Known(name string) bool {
	_, ok := n.set[name]
	return ok
}

// WebhookOnly says whether events of this name go to webhooks and to nobody else.
func (n *Names) WebhookOnly(name string) bool { return name == historySet }

// Nearest is the known name that is most like this one.
func (n *Names) Nearest(name string) string { return nearest(name, n.list) }

// Check says what is wrong with an event's name.
func (n *Names) Check(name string) error {
	switch {
	case name == "":
		return status.Errorf(status.Invalid, "EVENT_REQUIRED", "the event has no name")
	case !n.Known(name):
		return status.Errorf(status.Invalid, "EVENT_UNKNOWN", "there is no event %.80q; the nearest name is %s; a name of your own has to be listed in events.names of the configuration", name, nearest(name, n.list))
	}
	return nil
}

// CheckSaid says what is wrong with the name of an event that somebody says.
func (n *Names) CheckSaid(name string) error {
	if slices.Contains(serversOwn, name) {
		return status.Errorf(status.Invalid, "EVENT_RESERVED", "%s is said by the server alone; choose another name", name)
	}
	return n.Check(name)
}

// CheckHeard says what is wrong with the name of an event to listen to.
func (n *Names) CheckHeard(name string) error {
	if n.Known(name) && !n.WebhookOnly(name) {
		return nil
	}
	if name == "" {
		return status.Errorf(status.Invalid, "EVENT_REQUIRED", "say which event to listen to, as event=%s", connectionUpdate)
	}
	heard := slices.DeleteFunc(n.All(), n.WebhookOnly)
	if n.WebhookOnly(name) {
		return status.Errorf(status.Invalid, "EVENT_WEBHOOK_ONLY", "%s goes to webhooks only; the nearest event to listen to is %s", name, nearest(name, heard))
	}
	return unknown(name, heard)
}

func unknown(name string, candidates []string) error {
	return status.Errorf(status.Invalid, "EVENT_UNKNOWN", "there is no event %.80q; the nearest name is %s", name, nearest(name, candidates))
}

// nearest is a lookup's cost at most: of a long name only the beginning counts.
func nearest(name string, candidates []string) string {
	name = strings.ToLower(name[:min(len(name), maxEventName)])
	best, least := "", 2*maxEventName
	for _, c := range candidates {
		if max(len(c)-len(name), len(name)-len(c)) >= least {
			continue
		}
		if d := likeness.Distance(name, c); d < least {
			best, least = c, d
		}
	}
	return best
}
