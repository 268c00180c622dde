package events

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/instance"
	"github.com/kabar-io/kabar/internal/status"
	"github.com/kabar-io/kabar/internal/webhook"
)

// shownWebhook is a webhook as this dialect shows it.
type shownWebhook struct {
	ID         uint64          `json:"id"`
	URL        string          `json:"url"`
	Enabled    bool            `json:"enabled"`
	Events     map[string]bool `json:"events"` // null: all
	InstanceID uint64          `json:"instanceId"`
	Secret     string          `json:"secret,omitempty"`
	LastError  string          `json:"lastError,omitempty"`
	HoldSince  string          `json:"onHoldSince,omitempty"`
	NextTry    string          `json:"nextTry,omitempty"`
}

func showWebhook(h webhook.Webhook) shownWebhook {
	s := shownWebhook{ID: h.ID, URL: h.URL, Enabled: h.Enabled, InstanceID: h.Instance, LastError: h.Error}
	if h.Events != nil {
		s.Events = map[string]bool{}
		for _, name := range h.Events {
			s.Events[flagOf(name)] = true
		}
	}
	if !h.Hold.Since.IsZero() {
		s.HoldSince, s.NextTry = formatTime(h.Hold.Since), formatTime(h.Hold.Next)
	}
	return s
}

// oddFlags are the flags that are not their event's name in camel case, as the
// known system has them.
var oddFlags = map[string]string{
	"messages.update": "messagesUpdated", "contacts.update": "contactsUpdated", "chats.update": "chatsUpdated", "chats.delete": "chatsDeleted",
	"presence.update": "presenceUpdated", "groups.update": "groupsUpdated", "group-participants.update": "groupsParticipantsUpdated",
	"connection.update": "connectionUpdated",
}

// flagOf is the flag of an event's name.
func flagOf(name string) string {
	if flag, ok := oddFlags[name]; ok {
		return flag
	}
	var b strings.Builder
	up := false
	for _, r := range name {
		switch {
		case strings.ContainsRune(".-_", r):
			up = b.Len() > 0
		case up:
			b.WriteRune(unicode.ToUpper(r))
			up = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// namesOfFlags are the events that flags mean; a name is its own flag, too.
func namesOfFlags(known *instance.Names, flags map[string]bool) (map[string]bool, error) {
	if flags == nil {
		return nil, nil
	}
	all := map[string]string{}
	for _, name := range known.All() {
		if _, taken := all[flagOf(name)]; !taken {
			all[flagOf(name)] = name
		}
	}
	names := map[string]bool{}
	for _, flag := range slices.Sorted(maps.Keys(flags)) {
		name, ok := all[flag]
		if known.Known(flag) {
			name, ok = flag, true
		}
		if !ok {
			return nil, status.Errorf(status.Invalid, "EVENT_UNKNOWN", "there is no event %.80q; the nearest is %s", flag, nearestFlag(known, flag))
		}
		names[name] = names[name] || flags[flag]
	}
	return names, nil
}

// maxFlag is how much of an unknown flag is looked at.
const maxFlag = 64

// nearestFlag is what somebody may have meant, in the form that he wrote.
func nearestFlag(known *instance.Names, flag string) string {
	flag = flag[:min(len(flag), maxFlag)]
	var b strings.Builder
	for i, r := range flag {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('.')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	if strings.Contains(flag, ".") {
		return known.Nearest(flag)
	}
	return flagOf(known.Nearest(b.String()))
}

// setWebhook is PUT /webhook/set/{name}.
func (g *Gateway) setWebhook(w http.ResponseWriter, r *http.Request, ref instance.Ref) error {
	var in struct {
		URL     string          `json:"url"`
		Enabled *bool           `json:"enabled"`
		Events  map[string]bool `json:"events"`
	}
	if err := gateway.ReadJSON(w, r, &in); err != nil {
		return err
	}
	events, err := namesOfFlags(g.o.Instances.Names(), in.Events)
	if err != nil {
		return err
	}
	spec := webhook.Spec{URL: in.URL, Enabled: in.Enabled == nil || *in.Enabled, Events: events}
	h, secret, err := g.o.Webhooks.Set(r.Context(), ref, spec)
	if err != nil {
		return err
	}
	s := showWebhook(h)
	s.Secret = secret
	gateway.WriteJSON(w, http.StatusCreated, s)
	return nil
}

// findWebhook is GET /webhook/find/{name}.
func (g *Gateway) findWebhook(w http.ResponseWriter, r *http.Request, ref instance.Ref) error {
	h, err := g.o.Webhooks.Find(r.Context(), ref)
	if err == nil {
		gateway.WriteJSON(w, http.StatusOK, showWebhook(h))
	}
	return err
}
