package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"archipel/internal/finding"
	"archipel/internal/source"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	sigsyaml "sigs.k8s.io/yaml"
)

// built is what kustomize made of a folder, before decryption and substitution. It
// is shared: nobody changes it.
type built struct {
	key     string // digest of all that went into it; "" when that is not known
	objects []*builtObject
	opaque  []string // files that Flux would decrypt before the build and that could not be
	altered []string // files whose content is not what was encrypted
}

// builtObject is one object of a build.
type builtObject struct {
	YAML     string           `json:"yaml,omitempty"` // as substitution takes it; empty when it holds no $
	JSON     json.RawMessage  `json:"json"`
	Position finding.Position `json:"position"` // in the tree; zero when unknown

	parse  sync.Once
	object map[string]any
	err    error
	final  memo // as applied, by what the Kustomization adds
}

// parsed is the object as it left kustomize. Nobody may change it.
func (o *builtObject) parsed() (*unstructured.Unstructured, error) {
	o.parse.Do(func() { o.object, o.err = decode(o.JSON) })
	return &unstructured.Unstructured{Object: o.object}, o.err
}

// decode reads JSON as Kubernetes does: whole numbers are int64.
func decode(data []byte) (map[string]any, error) {
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	return object.Object, nil
}

// buildOf builds a folder of a tree as kustomize-controller does. Equal inputs are
// built once. The finding says why Flux would refuse; its Position is in the tree.
func (r *Renderer) buildOf(t *tree, folder string, s spec, keys *keyring) (*built, *finding.Finding) {
	name, content, err := s.generate(t, folder)
	if err != nil {
		return nil, refused(name, err)
	}
	in := t.inputsOf(folder, name, content)
	if in.problem != nil {
		return nil, in.problem
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%t\x00%s\x00%x", resultsFormat, t.local, folder, sha256.Sum256(content))
	if err := in.digest(h, name); err != nil {
		return nil, refused(name, err)
	}
	replaced, opaque, altered, problem := keys.decryptSources(in)
	if problem != nil {
		return nil, problem
	}
	if len(replaced) > 0 { // the same files build to something else without the key
		fmt.Fprintf(h, "decrypted")
	}
	key := hex.EncodeToString(h.Sum(nil))
	made := r.once("build "+key, func() (any, *finding.Finding) {
		b := &built{}
		if r.results.load(key, &b.objects) {
			r.share(b)
		} else {
			if problem := in.check(); problem != nil {
				return nil, problem
			}
			v := &view{tree: t, replaced: map[string][]byte{name: content}, read: map[string]bool{}}
			for file, plain := range replaced {
				v.replaced[file] = plain
			}
			var problem *finding.Finding
			if b, problem = r.run(v, in, folder, name, content); problem != nil {
				return nil, problem
			}
			if len(replaced) == 0 && v.onlyRead(in) {
				r.results.keep(key, b.objects)
			}
		}
		b.key = key
		return b, nil
	})
	if made.problem != nil {
		return nil, made.problem
	}
	b := made.value.(*built)
	if len(opaque)+len(altered) > 0 {
		b = &built{key: b.key, objects: b.objects, opaque: opaque, altered: altered}
	}
	return b, nil
}

func refused(name string, err error) *finding.Finding {
	return &finding.Finding{
		Rule: "kustomize-build-failed", Severity: finding.Error, Position: finding.Position{File: name},
		Message: "kustomize refuses to build it: " + line(err), Fix: "correct what it names",
	}
}

// onlyRead says whether a build read nothing but the inputs that its key is made of.
func (v *view) onlyRead(in *inputs) bool {
	for name := range v.read {
		if _, replaced := v.replaced[name]; !replaced && !in.files[name] && v.files[name] != nil {
			return false
		}
	}
	return true
}

// run builds with kustomize. Positions come from kustomize's origin annotations.
// Where one more annotation could change the result they come from a second build.
func (r *Renderer) run(v *view, in *inputs, folder, name string, content []byte) (*built, *finding.Finding) {
	r.shared.kustomize.Lock() // as Flux: kustomize keeps its OpenAPI schema globally
	defer r.shared.kustomize.Unlock()
	if in.schema {
		openapi.ResetOpenAPI()
		defer openapi.ResetOpenAPI()
	}
	var own types.Kustomization
	if err := sigsyaml.Unmarshal(content, &own); err != nil {
		return nil, refused(name, err)
	}
	traced := own
	traced.BuildMetadata = append(slices.Clone(own.BuildMetadata), types.OriginAnnotations)
	tracedContent, err := sigsyaml.Marshal(traced)
	if err != nil {
		return nil, refused(name, err)
	}
	already := slices.Contains(own.BuildMetadata, types.OriginAnnotations)
	strip := !already && !in.annotates
	if strip {
		v.replaced[name] = tracedContent
	}
	resources, err := kustomize(v, folder)
	if err != nil {
		return nil, v.explain(name, err)
	}
	origins := resources
	if !already && !strip {
		v.replaced[name] = tracedContent
		if origins, err = kustomize(v, folder); err != nil || len(origins) != len(resources) {
			origins = nil // unknown rather than a guess
		}
		v.replaced[name] = content
	}
	b := &built{}
	for i, res := range resources {
		o := &builtObject{}
		if origins != nil && origins[i].CurId() == res.CurId() {
			o.Position = v.position(in, folder, origins[i])
		}
		if strip {
			if err := dropOrigin(res); err != nil {
				return nil, refused(name, err)
			}
		}
		if res.GetName() == "" || res.GetKind() == "" || res.GetApiVersion() == "" {
			return nil, refused(name, fmt.Errorf("an object lacks apiVersion, kind or metadata.name"))
		}
		text, err := res.AsYAML()
		if err != nil {
			return nil, refused(name, err)
		}
		shared := r.once(keyOf("object", string(text), fmt.Sprint(o.Position)), func() (any, *finding.Finding) {
			if strings.Contains(string(text), "$") {
				o.YAML = string(text)
			}
			if o.JSON, err = sigsyaml.YAMLToJSON(text); err != nil {
				return nil, refused(name, err)
			}
			return o, nil
		})
		if shared.problem != nil {
			return nil, shared.problem
		}
		b.objects = append(b.objects, shared.value.(*builtObject))
	}
	return b, nil
}

// share replaces the objects of a kept build by equal ones that are there already.
func (r *Renderer) share(b *built) {
	for i, o := range b.objects {
		b.objects[i] = r.once(keyOf("kept", o.YAML, string(o.JSON), fmt.Sprint(o.Position)), func() (any, *finding.Finding) { return o, nil }).value.(*builtObject)
	}
}

func kustomize(files filesys.FileSystem, folder string) (resources []*resource.Resource, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("kustomize gave up on invalid data: %v", r)
		}
	}()
	m, err := krusty.MakeKustomizer(&krusty.Options{
		LoadRestrictions: types.LoadRestrictionsNone, // as Flux does; the view confines it
		PluginConfig:     types.DisabledPluginConfig(),
	}).Run(files, "/"+folder)
	if err != nil {
		return nil, err
	}
	return m.Resources(), nil
}

const originAnnotation = "config.kubernetes.io/origin"

func dropOrigin(res *resource.Resource) error {
	left := res.GetAnnotations()
	if _, ok := left[originAnnotation]; !ok {
		return nil
	}
	delete(left, originAnnotation)
	return res.SetAnnotations(left)
}

// position is where an object was written, by its origin annotation.
func (v *view) position(in *inputs, folder string, res *resource.Resource) finding.Position {
	var origin resource.Origin
	text, ok := res.GetAnnotations()[originAnnotation]
	if ok && (sigsyaml.Unmarshal([]byte(text), &origin) != nil || origin.Repo != "") {
		return finding.Position{}
	}
	switch {
	case strings.HasSuffix(origin.ConfiguredBy.Kind, "Generator"):
		return v.generatorPosition(path.Join(folder, origin.ConfiguredIn), res.GetName())
	case origin.ConfiguredIn != "" || origin.Path == "": // a patch has replaced the annotations
		return v.onlyPosition(in, res)
	}
	f := v.files[path.Join(folder, origin.Path)]
	if f == nil {
		return finding.Position{}
	}
	y, documents := f.documents()
	at := finding.Position{File: f.name}
	var kind, name []*yaml.Node // documents of the same kind; of the same name too
	for _, d := range documents {
		for _, object := range objectsIn(d) {
			if text := scalarAt(object, "kind"); text != res.GetKind() || scalarAt(object, "apiVersion") != res.GetApiVersion() {
				continue
			}
			kind = append(kind, object)
			if written := scalarAt(object, "metadata", "name"); written != "" && written == res.GetName() {
				name = append(name, object)
			}
		}
	}
	switch { // a prefix or a suffix may have changed the name
	case len(name) == 1:
		at = y.Position(name[0])
	case len(name) == 0 && len(kind) == 1:
		at = y.Position(kind[0])
	}
	at.Width = 0
	return at
}

// onlyPosition is where the only object of a kind and a name is written among all that a
// build reads; the zero Position when there are several or none.
func (v *view) onlyPosition(in *inputs, res *resource.Resource) finding.Position {
	var found []finding.Position
	for name := range in.declare {
		y, documents := v.files[name].documents()
		for _, d := range documents {
			for _, object := range objectsIn(d) {
				if scalarAt(object, "kind") == res.GetKind() && scalarAt(object, "apiVersion") == res.GetApiVersion() && scalarAt(object, "metadata", "name") == res.GetName() {
					found = append(found, y.Position(object))
				}
			}
		}
	}
	if len(found) != 1 {
		return finding.Position{}
	}
	found[0].Width = 0
	return found[0]
}

// objectsIn are the objects of a document: its root, or the items of a List.
func objectsIn(root *yaml.Node) []*yaml.Node {
	if !strings.HasSuffix(scalarAt(root, "kind"), "List") {
		return []*yaml.Node{root}
	}
	if items := nodeAt(root, "items"); items != nil && items.Kind == yaml.SequenceNode {
		return items.Content
	}
	return []*yaml.Node{root}
}

func nodeAt(n *yaml.Node, fields ...string) *yaml.Node {
	for _, field := range fields {
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var value *yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == field {
				value = n.Content[i+1]
			}
		}
		n = value
	}
	return n
}

func scalarAt(n *yaml.Node, fields ...string) string {
	if n = nodeAt(n, fields...); n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// generatorPosition is where a kustomization.yaml declares the generator of an object.
func (v *view) generatorPosition(name, object string) finding.Position {
	f := v.files[name]
	if f == nil {
		return finding.Position{}
	}
	y, documents := f.documents()
	var found []*yaml.Node
	for _, d := range documents {
		for _, field := range []string{"configMapGenerator", "secretGenerator"} {
			list := nodeAt(d, field)
			if list == nil {
				continue
			}
			for _, g := range list.Content {
				if n := scalarAt(g, "name"); n != "" && strings.Contains(object, n) {
					found = append(found, g)
				}
			}
		}
	}
	if len(found) != 1 {
		return finding.Position{File: name}
	}
	at := y.Position(found[0])
	at.Width = 0
	return at
}

// explain turns kustomize's error into a finding at the file that it names, if it is one.
func (v *view) explain(name string, err error) *finding.Finding {
	problem := refused(name, err)
	// kustomize wraps what it tried; the last part says what was wrong.
	for _, part := range regexp.MustCompile(`[^\s'":]+\.ya?ml`).FindAllString(err.Error(), -1) {
		for _, at := range []string{inside(part), path.Join(path.Dir(name), part)} {
			if f := v.files[at]; f != nil {
				problem.Position.File = at
				if _, findings := source.ParseYAML(at, f.data); len(findings) > 0 {
					problem.Position = findings[0].Position
				}
			}
		}
	}
	problem.Secret = strings.Contains(problem.Position.File, ".sops.")
	return problem
}
