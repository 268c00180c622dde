package process

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
)

// builder makes nodes of a tree that the checker has typed.
type builder struct {
	lets []string // in scope; a name's place is its slot
}

// unfit is a fault in a tree, found after it was typed.
type unfit struct {
	at   file.Location
	text string
}

func refuse(n ast.Node, format string, args ...any) {
	panic(unfit{n.Location(), fmt.Sprintf(format, args...)})
}

// build makes a node. It panics with unfit.
func (b *builder) build(n ast.Node) node {
	made := b.make(n)
	return func(m *machine) any {
		m.step(1)
		return made(m)
	}
}

func constant(v any) node { return func(*machine) any { return v } }

func (b *builder) make(n ast.Node) node {
	switch n := n.(type) {
	case *ast.NilNode:
		return constant(nil)
	case *ast.IntegerNode:
		return constant(n.Value)
	case *ast.FloatNode:
		return constant(n.Value)
	case *ast.BoolNode:
		return constant(n.Value)
	case *ast.StringNode:
		return constant(n.Value)
	case *ast.IdentifierNode:
		return b.identifier(n)
	case *ast.UnaryNode:
		return b.unary(n)
	case *ast.BinaryNode:
		return b.binary(n)
	case *ast.ChainNode:
		inner := b.build(n.Node)
		return func(m *machine) any {
			v := inner(m)
			if v == (absent{}) {
				return nil
			}
			return v
		}
	case *ast.MemberNode:
		return b.member(n)
	case *ast.SliceNode:
		return b.slice(n)
	case *ast.CallNode:
		return b.call(n)
	case *ast.BuiltinNode:
		return b.builtin(n)
	case *ast.PredicateNode:
		return b.build(n.Node)
	case *ast.PointerNode:
		return pointer(n)
	case *ast.VariableDeclaratorNode:
		return b.let(n)
	case *ast.SequenceNode:
		return b.sequence(n)
	case *ast.ConditionalNode:
		cond, yes, no := b.build(n.Cond), b.build(n.Exp1), b.build(n.Exp2)
		return func(m *machine) any {
			if m.bool(cond(m)) {
				return yes(m)
			}
			return no(m)
		}
	case *ast.ArrayNode:
		return listOf(b.all(n.Nodes))
	case *ast.MapNode:
		return b.mapping(n)
	}
	refuse(n, "this cannot be used here")
	return nil
}

func (b *builder) all(ns []ast.Node) []node {
	made := make([]node, len(ns))
	for i, n := range ns {
		made[i] = b.build(n)
	}
	return made
}

func (b *builder) identifier(n *ast.IdentifierNode) node {
	for i := len(b.lets) - 1; i >= 0; i-- {
		if b.lets[i] == n.Value {
			return func(m *machine) any { return m.lets[i] }
		}
	}
	name := n.Value
	return func(m *machine) any {
		v, ok := m.env[name]
		if !ok {
			fail("there is no %s", name)
		}
		return v
	}
}

func (b *builder) let(n *ast.VariableDeclaratorNode) node {
	value := b.build(n.Value)
	slot := len(b.lets)
	b.lets = append(b.lets, n.Name)
	body := b.build(n.Expr)
	b.lets = b.lets[:slot]
	return func(m *machine) any {
		v := value(m)
		for len(m.lets) <= slot {
			m.lets = append(m.lets, nil)
		}
		m.lets[slot] = v
		return body(m)
	}
}

func (b *builder) sequence(n *ast.SequenceNode) node {
	all := b.all(n.Nodes)
	return func(m *machine) (v any) {
		for _, each := range all {
			v = each(m)
		}
		return v
	}
}

func (b *builder) unary(n *ast.UnaryNode) node {
	inner := b.build(n.Node)
	switch n.Operator {
	case "!", "not":
		return func(m *machine) any { return !m.bool(inner(m)) }
	case "-":
		return func(m *machine) any { return m.negate(inner(m)) }
	case "+":
		return inner
	}
	refuse(n, "there is no operator %s", n.Operator)
	return nil
}

// The operators that need both sides.
var operators = map[string]func(m *machine, a, b any) any{
	"==": func(m *machine, a, b any) any { return m.equal(a, b) },
	"!=": func(m *machine, a, b any) any { return !m.equal(a, b) },
	"<":  func(m *machine, a, b any) any { return m.compare(a, b) == -1 },
	">":  func(m *machine, a, b any) any { return m.compare(a, b) == 1 },
	"<=": func(m *machine, a, b any) any { c := m.compare(a, b); return c == -1 || c == 0 },
	">=": func(m *machine, a, b any) any { c := m.compare(a, b); return c == 1 || c == 0 },
	"+":  (*machine).add, "-": (*machine).subtract, "*": (*machine).multiply,
	"/": func(m *machine, a, b any) any { return m.number(a) / m.number(b) },
	"%": (*machine).modulo, "**": (*machine).power, "^": (*machine).power, "..": (*machine).span,
	"in":         func(m *machine, a, b any) any { return m.in(a, b) },
	"contains":   texts(strings.Contains),
	"startsWith": texts(strings.HasPrefix),
	"endsWith":   texts(strings.HasSuffix),
	"matches":    (*machine).matches,
}

// texts is an operator on two texts, false where one is nil.
func texts(f func(a, b string) bool) func(m *machine, a, b any) any {
	return func(m *machine, a, b any) any {
		if a == nil || b == nil {
			return false
		}
		x, y := m.text(a), m.text(b)
		m.step((len(x) + len(y)) / 16)
		return f(x, y)
	}
}

func (b *builder) binary(n *ast.BinaryNode) node {
	if pattern, ok := n.Right.(*ast.StringNode); ok && n.Operator == "matches" {
		return b.match(n, pattern)
	}
	left, right := b.build(n.Left), b.build(n.Right)
	switch n.Operator {
	case "and", "&&":
		return func(m *machine) any { return m.bool(left(m)) && m.bool(right(m)) }
	case "or", "||":
		return func(m *machine) any { return m.bool(left(m)) || m.bool(right(m)) }
	case "??":
		return func(m *machine) any {
			if v := left(m); v != nil {
				return v
			}
			return right(m)
		}
	}
	f := operators[n.Operator]
	if f == nil {
		refuse(n, "there is no operator %s", n.Operator)
	}
	return func(m *machine) any {
		a := left(m)
		return f(m, a, right(m))
	}
}

func (b *builder) member(n *ast.MemberNode) node {
	base, property := b.build(n.Node), b.build(n.Property)
	optional := n.Optional
	return func(m *machine) any {
		v := base(m)
		if v == (absent{}) || v == nil && optional {
			return absent{}
		}
		return m.member(v, property(m))
	}
}

func (b *builder) slice(n *ast.SliceNode) node {
	base, from, to := b.build(n.Node), constant(nil), constant(nil)
	if n.From != nil {
		from = b.build(n.From)
	}
	if n.To != nil {
		to = b.build(n.To)
	}
	return func(m *machine) any {
		v := base(m)
		if v == (absent{}) {
			return v
		}
		x := from(m)
		return m.slice(v, x, to(m))
	}
}

// call is a method's: functions other than the built-in ones there are none.
func (b *builder) call(n *ast.CallNode) node {
	member, ok := n.Callee.(*ast.MemberNode)
	if !ok || !member.Method {
		refuse(n, "this cannot be called")
	}
	name := member.Property.(*ast.StringNode).Value
	if t := member.Node.Type(); t.Kind().String() != "interface" && !hasMethod(t, name) {
		refuse(n, "there is no method %s here", cut(name, 80))
	}
	base, args, optional := b.build(member.Node), b.all(n.Arguments), member.Optional
	return func(m *machine) any {
		v := base(m)
		if v == (absent{}) || v == nil && optional {
			return absent{}
		}
		values := make([]any, len(args))
		for i, arg := range args {
			values[i] = arg(m)
		}
		return m.method(v, name, values)
	}
}

func (b *builder) mapping(n *ast.MapNode) node {
	keys, values := make([]node, len(n.Pairs)), make([]node, len(n.Pairs))
	for i, p := range n.Pairs {
		pair := p.(*ast.PairNode)
		keys[i], values[i] = b.build(pair.Key), b.build(pair.Value)
	}
	return func(m *machine) any {
		m.make(2 * sizeEntry * len(keys))
		fields := make(map[string]any, len(keys))
		for i, key := range keys {
			k := m.key(key(m))
			fields[k] = values[i](m)
		}
		return m.object(fields)
	}
}

func pointer(n *ast.PointerNode) node {
	switch n.Name {
	case "":
		return func(m *machine) any {
			s := &m.scopes[len(m.scopes)-1]
			if s.index < 0 || s.index >= len(s.items) {
				fail("there is no such item")
			}
			return s.items[s.index]
		}
	case "index":
		return func(m *machine) any { return m.scopes[len(m.scopes)-1].index }
	case "acc":
		return func(m *machine) any { return m.scopes[len(m.scopes)-1].acc }
	}
	refuse(n, "there is no #%s", n.Name)
	return nil
}

var (
	anySlice  = reflect.TypeFor[[]any]()
	anyObject = reflect.TypeFor[map[string]any]()
)

// listOf is a list of what nodes give.
func listOf(all []node) node {
	return func(m *machine) any {
		m.make(sizeScalar * len(all))
		items := make([]any, len(all))
		for i, each := range all {
			m.step(1)
			items[i] = each(m)
		}
		return m.list(items)
	}
}

// objectOf is an object of what nodes give.
func objectOf(all []assign) node {
	return func(m *machine) any {
		m.make(2 * sizeEntry * len(all))
		fields := make(map[string]any, len(all))
		for _, a := range all {
			m.step(1)
			fields[a.name] = a.value(m)
		}
		return m.object(fields)
	}
}
