package process

// rule is one of a definition's, compiled.
type rule struct {
	on    string
	index int // from 1
	line  int
	when  node // nil: always
	steps []step
}

// What a step does.
const (
	doCall    = "call"
	doSet     = "set"
	doPublish = "publish"
	doSend    = "send"
	doNotify  = "notify"
	doReply   = "reply"
)

// inOrder are the steps in the order in which they are done where a rule writes
// them beside each other.
var inOrder = []string{doCall, doSet, doPublish, doSend, doNotify, doReply}

// step is one thing that a rule does. What it does not have is nil or "".
type step struct {
	do     string
	line   int
	target target   // publish
	name   string   // notify: the event
	to     string   // notify: the instance
	person node     // send
	text   node     // publish, send
	data   node     // publish, notify; call: the body
	fields []assign // set: vars; reply: outputs; call: the query
	method string
	url    string
	header map[string]string
}

// assign is a name with what becomes its value.
type assign struct {
	name  string
	kind  Type
	value node
}

// target is where a publish goes: one of them.
type target struct {
	feed  bool
	group uint64
	here  bool // the endpoint's own topic
}
