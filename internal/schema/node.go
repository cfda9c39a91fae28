package schema

import (
	"regexp"
	"sync"
)

// types is a set of JSON types; none means any.
type types uint8

const (
	stringType types = 1 << iota
	integerType
	numberType
	booleanType
	objectType
	arrayType
)

// node is one schema, of a built-in kind or of a definition.
type node struct {
	ref         *lazy // everything else stands there, but for check
	types       types
	format      string
	fields      map[string]*node // nil: the fields of an object have no names
	extra       *node            // of the fields of an object that have no names
	open        bool             // fields that the schema does not know are kept
	items       *node
	required    []string
	keys        []string // of a list that is a map
	set         bool     // a list that is a set
	enum        []any
	limits      *limits
	all         []*node
	some        []*node // at least one
	one         []*node // exactly one
	not         *node
	nullable    bool
	standard    any  // the default; nil for none
	embedded    bool // an object with apiVersion, kind and metadata of its own
	alternative bool // inside all, some, one or not: says something of values, not which fields there are
	check       check
}

// limits are rare, so that they stand apart.
type limits struct {
	pattern                      *regexp.Regexp
	minimum, maximum             *float64
	aboveMinimum, belowMaximum   bool // the limit itself is excluded
	multiple                     float64
	minLength, maxLength         *int64
	minItems, maxItems           *int64
	minProperties, maxProperties *int64
}

// lazy is a schema that is decoded when it is first asked for.
type lazy struct {
	name   string
	decode func() *node
	once   sync.Once
	node   *node
}

func (l *lazy) get() *node {
	l.once.Do(func() { l.node, l.decode = l.decode(), nil })
	return l.node
}
