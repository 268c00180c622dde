package process

import (
	"context"
	"time"

	"github.com/kabar-io/kabar/internal/journal"
)

// Row is a process as it is stored.
type Row struct {
	Name      string
	Newest    int // its last version
	Published int // 0: none
	Since     time.Time
}

// VersionInfo is one version of a process.
type VersionInfo struct {
	Version int       `json:"version"`
	Created time.Time `json:"created"`
}

// EndpointRow is an endpoint as it is stored.
type EndpointRow struct {
	URL, Process string
	Access       Access
	Declared     bool // by the process's definition, and so changed with it
}

// Reader is what can be read, from a snapshot or inside a change. ok is false
// where there is no such row.
type Reader interface {
	Process(ctx context.Context, name string) (r Row, ok bool, err error)
	Processes(ctx context.Context) ([]Row, error) // by name
	Source(ctx context.Context, name string, version int) (source []byte, ok bool, err error)
	Versions(ctx context.Context, name string) ([]VersionInfo, error) // newest first
	Endpoint(ctx context.Context, url string) (e EndpointRow, ok bool, err error)
	Endpoints(ctx context.Context) ([]EndpointRow, error) // by URL
}

// Tx reads and writes inside a change.
type Tx interface {
	Reader
	SetProcess(ctx context.Context, r Row) error
	DropProcess(ctx context.Context, name string) error // with its versions and endpoints
	AddVersion(ctx context.Context, name string, version int, source []byte, at time.Time) error
	// DropVersions removes those before a version, but for one to keep.
	DropVersions(ctx context.Context, name string, before, keep int) error
	SetEndpoint(ctx context.Context, e EndpointRow) error
	DropEndpoint(ctx context.Context, url string) (was bool, err error)
}

// Store is where processes stand.
type Store interface {
	Reader
	In(tx *journal.Tx) Tx
}

// Caller calls other hosts. It follows no redirect, goes to no place that the
// operator did not allow, and reads no more of an answer than asked for.
type Caller interface {
	Call(ctx context.Context, r Request) (Answer, error)
}

// Request is one call.
type Request struct {
	Method, URL string
	Header      map[string]string
	Body        []byte
	MaxAnswer   int // bytes; a longer answer is an error
}

// Answer is what came back.
type Answer struct {
	Status int
	Body   []byte
}
