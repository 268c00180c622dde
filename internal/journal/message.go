package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// Entry is a message's place in one topic.
type Entry struct {
	Topic string // "user/7", "room/9", "feed", "instance/3"
	Seq   uint64 // 1, 2, 3, … within the topic
}

// Message is what was said, in no dialect's words. It is immutable once committed.
type Message struct {
	ID      string    // names the message everywhere; given by the journal
	Entries []Entry   // the topics that it enters; a Change sets the topics, the journal the numbers
	From    uint64    // the user who caused it, 0 for nobody
	Kind    string    // "message.sent", "friend.requested", "line.spoken", …
	Time    time.Time // UTC; never earlier than the message's before it
	Data    []byte    // JSON: all that any dialect needs to write it
	Except  uint64    // the session key that does not hear it, 0 for none
	Ends    string    // the credential whose sessions end with it, "" for none
	Hops    uint8     // how many processes in a row caused it: what causes itself is found by it
}

// To makes the entries of a message that is still to be numbered.
func To(topics ...string) []Entry {
	es := make([]Entry, len(topics))
	for i, t := range topics {
		es[i].Topic = t
	}
	return es
}

// Seq is the message's number in topic, 0 where it is not in it.
func (m *Message) Seq(topic string) uint64 {
	for i := range m.Entries {
		if m.Entries[i].Topic == topic {
			return m.Entries[i].Seq
		}
	}
	return 0
}

// header is what a message's row holds besides it.
type header struct {
	pos  uint64
	salt uint32 // makes an id unlike any other at the same pos in another epoch
	key  Key    // on the first message of a change that had one
	of   int    // how many messages that change made, where key is set
}

// record is a row that was read.
type record struct {
	header
	Message
}

// The versions of a row. The first two have no checksum, and the first of them
// no byte for hops; they are read, and not written any more. The number of the
// third is far from theirs: no flip of a bit or three makes one of the other.
const (
	recordFirst   = 1
	recordHops    = 2
	recordVersion = 0xa8
)

// sumEnd is where in a row what its checksum is of begins.
const sumEnd = 1 + crc32.Size

var castagnoli = crc32.MakeTable(crc32.Castagnoli) // the processor computes it

// sum is the checksum of what stands behind it in the row at pos: elsewhere the
// same row is wrong.
func sum(pos uint64, b []byte) uint32 {
	return crc32.Update(uint32(pos)^uint32(pos>>32), castagnoli, b)
}

// append writes m's row: version, checksum, hops, then numbers as varints and
// strings behind their length, Data last and to the end.
func (r *header) append(b []byte, m *Message) []byte {
	start := len(b)
	b = append(b, recordVersion, 0, 0, 0, 0, m.Hops)
	b = binary.AppendVarint(b, m.Time.UnixNano())
	b = binary.BigEndian.AppendUint32(b, r.salt)
	b = binary.AppendUvarint(b, m.From)
	b = binary.AppendUvarint(b, m.Except)
	b = appendString(b, m.Kind)
	b = appendString(b, m.Ends)
	b = appendString(b, r.key.Scope)
	b = appendString(b, r.key.Ref)
	b = binary.AppendUvarint(b, uint64(r.of))
	b = binary.AppendUvarint(b, uint64(len(m.Entries)))
	for i := range m.Entries {
		b = appendString(b, m.Entries[i].Topic)
		b = binary.AppendUvarint(b, m.Entries[i].Seq)
	}
	b = append(b, m.Data...)
	binary.BigEndian.PutUint32(b[start+1:], sum(r.pos, b[start+sumEnd:]))
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// decoder reads a row; after the first fault it reads zeroes and keeps bad.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) string() string { return string(d.take(d.uvarint())) }

var errRecord = errors.New("journal: a row cannot be read")

// decode reads the row at pos.
func decode(row Row) (*record, error) {
	d := decoder{b: row.Data}
	r := &record{header: header{pos: row.Pos}}
	version := byte(0)
	if v := d.take(1); v != nil {
		version = v[0]
	}
	switch version {
	case recordVersion:
		if s := d.take(crc32.Size); s == nil || binary.BigEndian.Uint32(s) != sum(row.Pos, d.b) {
			return nil, fmt.Errorf("%w: row %d does not hold what was written", errRecord, row.Pos)
		}
	case recordFirst, recordHops:
	default:
		return nil, fmt.Errorf("%w: row %d is damaged or of a newer version", errRecord, row.Pos)
	}
	if version != recordFirst {
		if h := d.take(1); h != nil {
			r.Hops = h[0]
		}
	}
	t, n := binary.Varint(d.b)
	if n <= 0 {
		return nil, fmt.Errorf("%w: row %d", errRecord, row.Pos)
	}
	d.b = d.b[n:]
	r.Time = time.Unix(0, t).UTC()
	if s := d.take(4); s != nil {
		r.salt = binary.BigEndian.Uint32(s)
	}
	r.From, r.Except = d.uvarint(), d.uvarint()
	r.Kind, r.Ends = d.string(), d.string()
	r.key = Key{Scope: d.string(), Ref: d.string()}
	r.of = int(d.uvarint())
	count := d.uvarint()
	if d.bad || count > uint64(len(d.b)) {
		return nil, fmt.Errorf("%w: row %d", errRecord, row.Pos)
	}
	r.Entries = make([]Entry, count)
	for i := range r.Entries {
		r.Entries[i] = Entry{Topic: d.string(), Seq: d.uvarint()}
	}
	if d.bad {
		return nil, fmt.Errorf("%w: row %d", errRecord, row.Pos)
	}
	r.Data = d.b
	r.ID = formatID(r.pos, r.salt)
	return r, nil
}

// Check is what is wrong with a row: nil for one that holds what was written, as
// far as that can be told of a row from before rows had checksums.
func (r Row) Check() error {
	_, err := decode(r)
	return err
}

// decodeFrom is decode of a row that a reader gave: one that is not what it was
// written as is damaged.
func decodeFrom(from Reader, row Row) (*record, error) {
	r, err := decode(row)
	if err != nil {
		err = from.Damaged(err)
	}
	return r, err
}

// formatID names the message at pos. The salt tells it from a message that
// stood at the same pos before a restore.
func formatID(pos uint64, salt uint32) string {
	b := strconv.AppendUint(make([]byte, 0, 20), pos, 36)
	b = append(b, '-')
	return string(strconv.AppendUint(b, uint64(salt), 36))
}

// IsID says whether text could be a message's id: it has the form of one.
func IsID(text string) bool {
	_, _, ok := parseID(text)
	return ok
}

// parseID is formatID's way back; ok is false for what never was an id.
func parseID(id string) (pos uint64, salt uint32, ok bool) {
	p, s, found := strings.Cut(id, "-")
	if !found {
		return 0, 0, false
	}
	pos, err1 := strconv.ParseUint(p, 36, 64)
	n, err2 := strconv.ParseUint(s, 36, 32)
	return pos, uint32(n), err1 == nil && err2 == nil
}
