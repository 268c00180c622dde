package instance

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/kabar-io/kabar/internal/status"
)

// Instance is one source of events.
type Instance struct {
	ID                 uint64
	Name               string // unique, in this very spelling; never changes
	Description        string
	ExternalAttributes json.RawMessage // any JSON value, nil for none
	OwnerJid           string          // "" for none
	Created, Updated   time.Time       // Updated: by Update

	// Said by the newest connection.update.
	State        string          // "" before the first
	StatusReason json.RawMessage // nil for none

	// Numbers in the instance's topic, 0 for none.
	LastConnection uint64 // of the newest connection.update
	LastQRCode     uint64 // of the newest qrcode.updated
}

// Whether an instance's own connection stands.
const (
	Online  = "ONLINE"
	Offline = "OFFLINE"

	stateOpen  = "open"
	stateClose = "close"
)

// Status is Online while the newest connection.update said "open".
func (i Instance) Status() string {
	if i.State == stateOpen {
		return Online
	}
	return Offline
}

// Connection is what the newest connection.update said.
type Connection struct {
	State        string          `json:"state"`
	StatusReason json.RawMessage `json:"statusReason"` // nil: null
}

// Connection is "close" before the first connection.update.
func (i Instance) Connection() Connection {
	c := Connection{i.State, i.StatusReason}
	if c.State == "" {
		c.State = stateClose
	}
	return c
}

// Profile is an instance as its events show it.
type Profile struct {
	ID                 uint64          `json:"id"`
	Name               string          `json:"name"`
	ConnectionStatus   string          `json:"connectionStatus"`
	OwnerJid           *string         `json:"ownerJid"`
	ExternalAttributes json.RawMessage `json:"externalAttributes"`
}

// Profile is the instance as it is now.
func (i Instance) Profile() Profile {
	p := Profile{ID: i.ID, Name: i.Name, ConnectionStatus: i.Status(), ExternalAttributes: i.ExternalAttributes}
	if i.OwnerJid != "" {
		p.OwnerJid = &i.OwnerJid
	}
	return p
}

// Topic is the topic of an instance's events.
func Topic(id uint64) string { return "instance/" + strconv.FormatUint(id, 10) }

// AllTopic is the topic of the events of all instances (see Options.All).
const AllTopic = "instances"

// CredentialOf is what sessions of a token rest on, as a message's Ends names it.
func CredentialOf(token uint64) string { return "token/" + strconv.FormatUint(token, 10) }

// ConsumerOwner owns the kept position of a consumer of an instance's events.
func ConsumerOwner(id uint64, consumer string) string {
	return "consumer/" + strconv.FormatUint(id, 10) + "/" + consumer
}

// The bounds of what an instance is described by: every event carries most of it.
const (
	maxName        = 64 // characters, of a consumer's name too
	maxDescription = 1024
	maxOwnerJid    = 256
	maxAttributes  = 4 << 10
)

// CheckConsumer says what is wrong with a consumer's name.
func CheckConsumer(name string) error {
	ascii := func(r rune) bool { return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
	if !fits(name, ascii) {
		return status.Errorf(status.Invalid, "CONSUMER_INVALID",
			"%.80q is not a consumer's name: write up to %d of A-Z a-z 0-9 . _ -, the first a letter or a digit", name, maxName)
	}
	return nil
}

// checkName takes letters and digits of any script. The first is one of them,
// so that no name is "." or "..", which no path can hold.
func checkName(name string) error {
	if !fits(name, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		return status.Errorf(status.Invalid, "INSTANCE_NAME_INVALID",
			"%.80q is not an instance's name: write up to %d letters, digits and . _ -, the first a letter or a digit", name, maxName)
	}
	return nil
}

func fits(name string, word func(rune) bool) bool {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName {
		return false
	}
	for i, r := range name {
		if !word(r) && (i == 0 || !strings.ContainsRune("._-", r)) {
			return false
		}
	}
	return name != ""
}

func checkText(what, text string, most int) error {
	switch {
	case !utf8.ValidString(text):
		return status.Errorf(status.Invalid, "TEXT_INVALID", "%s is not valid UTF-8", what)
	case len(text) > most:
		return status.Errorf(status.TooLarge, "TEXT_TOO_LONG", "%s is longer than %d bytes", what, most)
	}
	return nil
}

// cleanAttributes is nil for null: that is what none is.
func cleanAttributes(raw json.RawMessage) (json.RawMessage, error) {
	value, err := compact("externalAttributes", raw, maxAttributes)
	if err != nil || string(value) == "null" {
		return nil, err
	}
	return value, nil
}

// compact is a JSON value of what a client sent, in bytes of our own and fit
// for a text frame; nothing at all is null.
func compact(what string, raw []byte, most int) ([]byte, error) {
	switch {
	case len(raw) == 0:
		return []byte("null"), nil
	case len(raw) > most:
		return nil, status.Errorf(status.TooLarge, "DATA_TOO_LARGE", "%s is larger than %d bytes", what, most)
	case !utf8.Valid(raw):
		return nil, status.Errorf(status.Invalid, "DATA_INVALID", "%s is not valid UTF-8", what)
	}
	var b bytes.Buffer
	b.Grow(len(raw))
	if err := json.Compact(&b, raw); err != nil {
		return nil, status.Errorf(status.Invalid, "DATA_INVALID", "%s is not valid JSON: %v", what, err)
	}
	return b.Bytes(), nil
}

// encode is v as JSON, without the escapes that only HTML needs.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
