package process

import (
	"slices"
	"time"

	"github.com/kabar-io/kabar/internal/status"
)

// Type is the type of an input or an output.
type Type string

// The types.
const (
	TypeString  Type = "string"
	TypeNumber  Type = "number"
	TypeInteger Type = "integer"
	TypeBoolean Type = "boolean"
	TypeObject  Type = "object"
	TypeList    Type = "list"
	TypeAny     Type = "any"
)

var typeNames = []string{
	string(TypeString), string(TypeNumber), string(TypeInteger), string(TypeBoolean), string(TypeObject), string(TypeList), string(TypeAny),
}

// What makes a process run.
const (
	OnFrame      = "frame"
	OnConnect    = "connect"
	OnDisconnect = "disconnect"
	OnTyping     = "typing"
	OnMessage    = "message"
	OnEvent      = "event"
)

var triggers = []string{OnFrame, OnConnect, OnDisconnect, OnTyping, OnMessage, OnEvent}

// Field is an input or an output.
type Field struct {
	Name        string `json:"name"`
	Type        Type   `json:"type"`
	Optional    bool   `json:"optional,omitempty"`
	Default     any    `json:"default,omitempty"` // nil: none
	Description string `json:"description,omitempty"`
}

// Access says who may use an endpoint; the zero one is every account.
type Access struct {
	Anonymous bool     `json:"anonymous,omitempty"`
	Groups    []string `json:"groups,omitempty"` // one of them; none: every account
}

// EndpointSpec says what stands at a URL.
type EndpointSpec struct {
	URL     string
	Process string
	Access  Access
	Keep    bool // where something stands at the URL already, its access stays
}

// Definition is a process that compiled. It does not change.
type Definition struct {
	Name        string
	Description string
	Inputs      []Field
	Outputs     []Field
	Endpoint    *EndpointSpec // nil: it declares none
	Follow      []string      // topics whose messages its connections hear
	Instances   []string      // whose events it hears
	Timeout     time.Duration // of a run, 0 for the server's

	rules    []*rule
	defaults map[string]any // as values, by input
}

// Hears says whether a rule is there for one of these triggers.
func (d *Definition) Hears(on ...string) bool {
	return slices.ContainsFunc(d.rules, func(r *rule) bool { return slices.Contains(on, r.on) })
}

// Fault is what is wrong with a definition, and where.
type Fault struct {
	Line    int    `json:"line"` // from 1
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// FaultsError says why a definition was refused.
type FaultsError struct{ Faults []Fault }

func (e *FaultsError) Error() string { return e.Unwrap().Error() }

// Unwrap is the error as every client may know it.
func (e *FaultsError) Unwrap() error {
	f := e.Faults[0]
	return status.Errorf(status.Invalid, "PROCESS_FAULTS", "line %d, column %d: %s", f.Line, f.Column, f.Message)
}
