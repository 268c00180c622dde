package process

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
)

// The bounds of one expression. What compares or chooses can stand twice in its
// tree: the tree is measured as it is walked, before anything walks it.
const (
	maxExpression = 8 << 10 // bytes
	maxNodes      = 3000
	maxTree       = 150 // deep
)

// maxCost bounds what all expressions of a definition cost to compile, together:
// a unit is about a microsecond, and an expression of one word costs four.
const (
	maxCost        = 50_000
	costExpression = 3 // and its nodes, and its patterns
)

// anyMap is an object of which nothing is known.
var anyMap = types.TypeOf(map[string]any{})

var exprTypes = map[Type]types.Type{
	TypeString: types.String, TypeNumber: types.Float64, TypeInteger: types.Int, TypeBoolean: types.Bool,
	TypeObject: anyMap, TypeList: types.TypeOf([]any{}), TypeAny: types.Any,
}

var (
	userType = types.Map{
		"id": types.Int, "username": types.String, "name": types.String, "email": types.String, "groups": types.TypeOf([]string{}),
	}
	sessionType = types.Map{"id": types.String, "address": types.String, "endpoint": types.String}
	fromType    = types.Map{"id": types.Int, "username": types.String, "name": types.String}
	messageType = types.Map{"text": types.String, "data": types.Any, "topic": types.String}
	eventType   = types.Map{"name": types.String, "instance": types.String, "data": types.Any}
)

// names are what an expression may use, by its rule's trigger.
func names(d *Definition, on string, vars map[string]bool, answered bool) types.Map {
	env := types.Map{"now": types.TypeOf(time.Time{})}
	if answered {
		env["answer"] = types.Any
	}
	if on == OnEvent {
		env["event"] = eventType
		return env
	}
	known := types.Map{}
	for v := range vars {
		known[v] = types.Any
	}
	env["user"], env["session"], env["vars"] = userType, sessionType, known
	switch on {
	case OnFrame:
		for _, in := range d.Inputs {
			env[in.Name] = exprTypes[in.Type]
		}
	case OnMessage:
		env["from"], env["message"] = fromType, messageType
	default:
		env["from"] = fromType
	}
	return env
}

// reserved are the names that no input may have.
var reserved = []string{"now", "answer", "user", "session", "vars"}

// scopeOf is the typed environment of expressions. One serves many.
type scopeOf struct {
	config *conf.Config
	known  []string
	left   *int // of maxCost
}

func newScope(env types.Map) *scopeOf {
	c := conf.CreateNew()
	c.WithEnv(env)
	c.Optimize, c.MaxNodes = false, maxNodes
	for name := range c.Builtins {
		if functions[name].run == nil && loops[name] == nil {
			c.Disabled[name] = true
			delete(c.Builtins, name)
		}
	}
	known := slices.Concat(slices.Collect(maps.Keys(env)), slices.Collect(maps.Keys(c.Builtins)))
	slices.Sort(known)
	left := maxCost
	return &scopeOf{c, known, &left}
}

// spend counts what compiling a node costs.
func (s *scopeOf) spend(n ast.Node, cost int) {
	if *s.left -= cost; *s.left < 0 {
		refuse(n, "the check ended here: the expressions and their patterns are too many, or too large together")
	}
}

// expression is a compiled one with its static type.
type expression struct {
	run    node
	static reflect.Type
}

// wrong is what is wrong with an expression, at a character of it.
type wrong struct {
	at   int
	text string
}

// compile reads, types and builds an expression.
func (s *scopeOf) compile(text string) (e expression, bad *wrong) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case unfit:
			e, bad = expression{}, &wrong{p.at.From, p.text}
		default: // the parser's or the checker's own fault is the expression's
			e, bad = expression{}, &wrong{0, "this expression cannot be read"}
		}
	}()
	switch {
	case strings.TrimSpace(text) == "":
		return expression{}, &wrong{0, "an expression is missing here"}
	case len(text) > maxExpression:
		return expression{}, &wrong{0, fmt.Sprintf("this expression is longer than %d bytes", maxExpression)}
	}
	tree, err := parser.ParseWithConfig(text, s.config)
	if err != nil {
		return expression{}, s.wrong(err)
	}
	size, bad := measure(tree.Node)
	if bad != nil {
		return expression{}, bad
	}
	s.spend(tree.Node, costExpression+size)
	ast.Walk(&tree.Node, guard{s})
	static, err := new(checker.Checker).PatchAndCheck(tree, s.config)
	if err != nil {
		return expression{}, s.wrong(err)
	}
	if n := tree.Node.Nature(); n.Nil {
		static = nil
	}
	return expression{new(builder).build(tree.Node), static}, nil
}

// wrong is an error of the parser or the checker in the words of a fault.
func (s *scopeOf) wrong(err error) *wrong {
	var f *file.Error
	if !errors.As(err, &f) {
		return &wrong{0, cut(err.Error(), 300)}
	}
	text := f.Message
	if name, ok := strings.CutPrefix(text, "unknown name "); ok {
		text = hint(text, name, s.known)
	}
	return &wrong{f.From, cut(text, 300)}
}

// measure counts the nodes of a tree, or says that it is too large to be walked.
func measure(root ast.Node) (int, *wrong) {
	sizes := map[ast.Node]int{}
	var bad *wrong
	var size func(n ast.Node, depth int) int
	size = func(n ast.Node, depth int) int {
		if n == nil || bad != nil {
			return 0
		}
		if depth > maxTree {
			bad = &wrong{n.Location().From, "this expression is nested too deeply"}
			return 0
		}
		if known, ok := sizes[n]; ok {
			return known
		}
		total := 1
		for _, child := range children(n) {
			total += size(child, depth+1)
		}
		if total > maxNodes {
			bad = &wrong{n.Location().From, "this expression is too large"}
		}
		sizes[n] = total
		return total
	}
	return size(root, 0), bad
}

func children(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.ChainNode:
		return []ast.Node{n.Node}
	case *ast.MemberNode:
		return []ast.Node{n.Node, n.Property}
	case *ast.SliceNode:
		return []ast.Node{n.Node, n.From, n.To}
	case *ast.CallNode:
		return append([]ast.Node{n.Callee}, n.Arguments...)
	case *ast.BuiltinNode:
		return n.Arguments
	case *ast.PredicateNode:
		return []ast.Node{n.Node}
	case *ast.VariableDeclaratorNode:
		return []ast.Node{n.Value, n.Expr}
	case *ast.SequenceNode:
		return n.Nodes
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.MapNode:
		return n.Pairs
	case *ast.PairNode:
		return []ast.Node{n.Key, n.Value}
	}
	return nil
}

// guard refuses what the checker must not see: it compiles patterns whatever
// they cost, and knows a name for everything at once.
type guard struct{ scope *scopeOf }

// Visit looks at one node.
func (g guard) Visit(n *ast.Node) {
	switch n := (*n).(type) {
	case *ast.BinaryNode:
		if pattern, ok := n.Right.(*ast.StringNode); ok && n.Operator == "matches" {
			_, cost, err := weigh(pattern.Value)
			if err != nil {
				refuse(pattern, "%v", err)
			}
			g.scope.spend(pattern, cost)
		}
	case *ast.IdentifierNode:
		if strings.HasPrefix(n.Value, "$") {
			refuse(n, "unknown name %s", cut(n.Value, 80))
		}
	case *ast.BytesNode:
		refuse(n, "bytes cannot be used here; write a text")
	}
}

// yields says whether an expression of a static type can be of type t; what is
// not known before it runs is looked at then.
func yields(static reflect.Type, t Type) bool {
	if static == nil { // nil
		return t == TypeAny
	}
	if static.Kind() == reflect.Interface || t == TypeAny {
		return true
	}
	switch k := static.Kind(); t {
	case TypeString:
		return k == reflect.String
	case TypeBoolean:
		return k == reflect.Bool
	case TypeInteger:
		return k == reflect.Int
	case TypeNumber:
		return k == reflect.Int || k == reflect.Float64
	case TypeObject:
		return k == reflect.Map
	case TypeList:
		return k == reflect.Slice || k == reflect.Array
	default:
		return false
	}
}

// staticName names a static type for people.
func staticName(static reflect.Type) string {
	if static == nil {
		return "nil"
	}
	switch static {
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[time.Duration]():
		return "duration"
	}
	switch static.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	case reflect.Int:
		return "integer"
	case reflect.Map:
		return "object"
	case reflect.Slice, reflect.Array:
		return "list"
	default:
		return static.Kind().String()
	}
}
