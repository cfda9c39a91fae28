package check

import (
	"strconv"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
	"archipel/internal/render"
)

// At returns where the repository states a field of an object: the place of its value. When
// the field is not written there, because a patch or a chart sets it, that is the nearest
// parent that is, at last the document. The zero Position means unknown. An element of a
// path is a key, or the index of a list in decimal.
func (f *Fleet) At(o *render.Object, path ...string) finding.Position {
	_, value, at := f.find(o, path)
	if value == nil {
		return at
	}
	return f.Parsed(at.File).Position(value)
}

// KeyAt is At, but the place of the last key of the path instead of its value.
func (f *Fleet) KeyAt(o *render.Object, path ...string) finding.Position {
	key, value, at := f.find(o, path)
	switch {
	case key != nil:
		return f.Parsed(at.File).Position(key)
	case value != nil:
		return f.Parsed(at.File).Position(value)
	}
	return at
}

// find returns the nodes of a field, and where its document is; nil when that is not known
// or when a chart makes the object, whose fields are not those of the document.
func (f *Fleet) find(o *render.Object, path []string) (key, value *yaml.Node, at finding.Position) {
	if o == nil {
		return nil, nil, at
	}
	at = o.Origin.Position
	if at.File == "" || at.Line == 0 || o.Origin.Release != nil {
		return nil, nil, at
	}
	y := f.Parsed(at.File)
	if y == nil {
		return nil, nil, at
	}
	for i, document := range y.Documents {
		last := i == len(y.Documents)-1 || y.Documents[i+1].Line > at.Line
		if document.Line <= at.Line && last || i == 0 && document.Line > at.Line {
			if !declares(document, o) {
				return nil, nil, at
			}
			key, value = nearest(document, path...)
			return key, value, at
		}
	}
	return nil, nil, at
}

// declares reports whether a document is the one that an object comes from: a patch or an
// artefact may have brought it, and its fields would then be found where they are not.
func declares(document *yaml.Node, o *render.Object) bool {
	_, kind := lookup(document, "kind")
	return kind != nil && kind.Value == o.GetKind()
}

// lookup follows a path through a document, and returns the last key and its value; nil
// when there is no such field. The key of an element of a list is nil.
func lookup(root *yaml.Node, path ...string) (key, value *yaml.Node) {
	value = follow(root)
	for _, step := range path {
		if key, value = child(value, step); value == nil {
			return nil, nil
		}
	}
	return key, value
}

// nearest is lookup, but stops at the last field of the path that there is.
func nearest(root *yaml.Node, path ...string) (key, value *yaml.Node) {
	value = follow(root)
	for _, step := range path {
		k, v := child(value, step)
		if v == nil {
			break
		}
		key, value = k, v
	}
	return key, value
}

func child(n *yaml.Node, step string) (key, value *yaml.Node) {
	switch n.Kind {
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return nil, follow(n.Content[i])
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i], follow(n.Content[i+1])
			}
		}
	}
	return nil, nil
}

// follow returns what an alias stands for. source has refused aliases that contain themselves.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
