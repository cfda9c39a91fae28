// Package schema knows what an API server accepts: the built-in kinds of a Kubernetes minor, and those that a site's own definitions add.
package schema

// Kind is what is wrong; it never changes.
type Kind string

// The kinds of problems with an object.
const (
	UnknownField      Kind = "unknown-field"      // the schema has no such field: server-side apply refuses it
	WrongType         Kind = "wrong-type"         // for example a number where a string belongs
	MissingRequired   Kind = "missing-required"   // a field, or an entry's key, that must be there
	InvalidValue      Kind = "invalid-value"      // enum, format, pattern, limit, name, label, quantity or port
	DuplicateItem     Kind = "duplicate-item"     // two entries of a list with the same key
	RuleViolated      Kind = "rule-violated"      // a CEL rule of a definition
	UnknownKind       Kind = "unknown-kind"       // of a group that Kubernetes or a definition has
	DefinitionMissing Kind = "definition-missing" // of a group that neither Kubernetes nor any definition has
	RemovedAPI        Kind = "removed-api"        // the kind is known, but not in this version any more
	DisabledAPI       Kind = "disabled-api"       // an alpha or beta version, which no API server serves unless told to
	UnservedVersion   Kind = "unserved-version"   // the definition has the version, and does not serve it
	FieldImmutable    Kind = "field-immutable"    // a change that the API server refuses
)

// The kinds of problems with a definition, with values, and with what is known here.
const (
	DefinitionInvalid    Kind = "definition-invalid"     // a CustomResourceDefinition that cannot be used
	ValuesInvalid        Kind = "values-invalid"         // values that the chart's schema refuses
	ValuesSchemaInvalid  Kind = "values-schema-invalid"  // the chart's schema itself
	ValuesSchemaPartial  Kind = "values-schema-partial"  // a part of the chart's schema lies in the network: not checked
	SchemaVersionMissing Kind = "schema-version-missing" // another minor's schema is used: say so
)

// Problem is one thing that an API server, or Helm, would refuse.
type Problem struct {
	Kind Kind
	// Path leads from the object, or the values, to the problem: names of fields and indices
	// of lists, for example spec, containers, 0, imag. For a field that is missing it leads
	// to what lacks the field.
	Path    []string
	Message string // one line, no full stop; never a value of a Secret or of a chart's values
	Fix     string // what to do, one line; empty when there is no one answer
}
