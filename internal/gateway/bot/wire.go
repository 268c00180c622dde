package bot

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/gateway"
	"github.com/kabar-io/kabar/internal/journal"
	"github.com/kabar-io/kabar/internal/process"
	"github.com/kabar-io/kabar/internal/ws"
)

// The keys of a frame that are no inputs and no outputs.
const (
	keyID     = "$id"
	keyTyping = "$typing"
	keyPush   = "$push"
)

// What is wrong with a frame before a process has seen it.
const (
	notJSON     = "NOT_JSON"
	notAnObject = "NOT_AN_OBJECT"
)

// frame is what a client sent.
type frame struct {
	inputs map[string]json.RawMessage
	id     json.RawMessage // nil where it had none
	typing bool
}

// decode reads a client's text frame. The id is there too where something is
// wrong, as far as it could be read.
func decode(p []byte) (frame, *process.Bad) {
	f := frame{inputs: map[string]json.RawMessage{}}
	if err := json.Unmarshal(p, new(json.RawMessage)); err != nil {
		return f, &process.Bad{Code: notJSON, Message: "this is not JSON: " + jsonFault(err)}
	}
	if p = bytes.TrimLeft(p, " \t\r\n"); p[0] != '{' {
		return f, &process.Bad{Code: notAnObject, Message: "a frame is a JSON object with a value for each input"}
	}
	twice := ""
	d := json.NewDecoder(bytes.NewReader(p))
	_, _ = d.Token() // the brace
	for d.More() {
		t, err := d.Token()
		key, _ := t.(string)
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil { // it was read whole above
			return f, &process.Bad{Code: notJSON, Message: "this is not JSON: " + jsonFault(err)}
		}
		if _, again := f.inputs[key]; again && twice == "" {
			twice = key
		}
		f.inputs[key] = value
	}
	f.id = f.inputs[keyID]
	if twice != "" {
		return f, &process.Bad{Code: notJSON, Message: fmt.Sprintf("the key %.80q is there twice", twice), Field: twice}
	}
	delete(f.inputs, keyID)
	return f, f.readTyping()
}

// readTyping reads "$typing", which stands alone.
func (f *frame) readTyping() *process.Bad {
	value, is := f.inputs[keyTyping]
	if !is {
		return nil
	}
	if string(value) != "true" {
		return &process.Bad{Code: process.WrongType, Message: keyTyping + " can only be true", Field: keyTyping}
	}
	delete(f.inputs, keyTyping)
	f.typing = true
	for key := range maps.Keys(f.inputs) {
		return &process.Bad{Code: process.UnknownInput, Message: "a frame with " + keyTyping + " holds no inputs", Field: key}
	}
	return nil
}

func jsonFault(err error) string {
	var s *json.SyntaxError
	if errors.As(err, &s) {
		return fmt.Sprintf("%v at byte %d", err, s.Offset)
	}
	return err.Error()
}

// encodeAnswer writes the answer to a frame. The error is for outputs that no
// JSON can hold.
func encodeAnswer(outputs map[string]any, id json.RawMessage) ([]byte, error) {
	all := make(map[string]any, len(outputs)+1)
	maps.Copy(all, outputs)
	delete(all, keyPush) // it marks a push, and only that
	if delete(all, keyID); id != nil {
		all[keyID] = id
	}
	return object(all)
}

// encodePush writes what no frame asked for.
func encodePush(outputs map[string]any) ([]byte, error) {
	all := make(map[string]any, len(outputs)+1)
	maps.Copy(all, outputs)
	delete(all, keyID)
	all[keyPush] = true
	return object(all)
}

// object writes keys in their order, with <, > and & as they are.
func object(all map[string]any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(all)
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), err
}

// appendError writes what is wrong with a frame.
//
//nolint:unparam // dst is there because it is in all that appends
func appendError(dst []byte, bad *process.Bad, id json.RawMessage) []byte {
	dst = append(dst, '{')
	if id != nil {
		dst = append(dst, `"$id":`...)
		dst = append(append(dst, id...), ',')
	}
	dst = append(dst, `"error":{"code":`...)
	dst = gateway.AppendString(dst, bad.Code)
	dst = append(dst, `,"message":`...)
	dst = gateway.AppendString(dst, bad.Message)
	if bad.Field != "" {
		dst = append(dst, `,"field":`...)
		dst = gateway.AppendString(dst, bad.Field)
	}
	return append(dst, `}}`...)
}

// Format writes a person's inbox as this dialect says it: the server's word to
// them and to nobody else, and nothing more.
type Format struct{}

// Append writes a notice as a push, or nothing.
func (Format) Append(dst []byte, m *journal.Message, _ uint64) []byte {
	if m.Kind != account.KindNotice {
		return dst
	}
	var d account.Notice
	if json.Unmarshal(m.Data, &d) != nil || d.All {
		return dst
	}
	b := append(make([]byte, 0, len(d.Text)+48), `{"$push":true,"notice":{"text":`...)
	b = gateway.AppendString(b, d.Text)
	return ws.AppendText(dst, append(b, `}}`...))
}

// appendTrigger writes a trigger as an ear's queue holds it: its length, and
// its JSON.
func appendTrigger(dst []byte, t process.Trigger) []byte {
	b, err := json.Marshal(t)
	if err != nil {
		return dst // Data that is no JSON came from no change of ours
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(b))), b...)
}

// nextTrigger is appendTrigger's way back.
func nextTrigger(p []byte) (t process.Trigger, rest []byte, ok bool) {
	if len(p) < 4 {
		return t, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(p))
	if p = p[4:]; n > uint64(len(p)) {
		return t, nil, false
	}
	ok = json.Unmarshal(p[:n], &t) == nil
	if string(t.Data) == "null" {
		t.Data = nil
	}
	return t, p[n:], ok
}
