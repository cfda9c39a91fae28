package diff

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// CompareTerraform says in words which blocks of the Terraform tree change.
// Blocks are compared as HCL: their place in the files of a folder, comments
// and blanks do not matter. files are those of source.Changes.
func CompareTerraform(before, after fs.FS, files, sites []string) []Change {
	dirs := map[string]bool{}
	var changes []Change
	for _, file := range files {
		rest, ok := strings.CutPrefix(file, terraformFolder+"/")
		if !ok || hidden(rest) {
			continue
		}
		if ext := path.Ext(file); ext == ".tf" || ext == ".tfvars" {
			dirs[path.Dir(file)] = true
			continue
		}
		if of := envSites(after, path.Dir(file), sites); len(of) > 0 {
			changes = append(changes, Change{
				Layer: Terraform, Action: Changed, Subject: clip("file " + rest), Sites: slices.Clone(of),
				Fields: []Field{{Path: clip(path.Base(file)), Kind: fileKind(before, after, file)}},
			})
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		of := envSites(after, dir, sites)
		if len(of) == 0 && strings.HasPrefix(dir, terraformFolder+"/envs/") {
			continue // another site's
		}
		for _, change := range compareModules(moduleOf(before, dir), moduleOf(after, dir)) {
			change.Sites = slices.Clone(of)
			change.Subject = clip(change.Subject + " in " + strings.TrimPrefix(dir, terraformFolder+"/"))
			changes = append(changes, change)
		}
	}
	return changes
}

// module is the content of a folder of .tf files.
type module struct {
	blocks map[string]block // by kind and labels
	broken []string         // files that are no HCL
}

// block is one block and its content as text.
type block struct {
	kind, name string
	attributes map[string]any // nested blocks are maps in lists
}

// source is where the block of a module finds it.
func (b block) source() string {
	s, _ := b.attributes["source"].(string)
	return s
}

// moduleOf reads the .tf and .tfvars files of a folder; a folder that is not
// there has none.
func moduleOf(tree fs.FS, dir string) module {
	m := module{blocks: map[string]block{}}
	entries, err := fs.ReadDir(tree, dir)
	if err != nil {
		return m
	}
	for _, e := range entries {
		ext := path.Ext(e.Name())
		if ext != ".tf" && ext != ".tfvars" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		data := readOrNone(tree, path.Join(dir, e.Name()))
		parsed, diagnostics := hclsyntax.ParseConfig(data, e.Name(), hcl.InitialPos)
		body, ok := bodyOf(parsed)
		if diagnostics.HasErrors() || !ok {
			m.broken = append(m.broken, e.Name())
			continue
		}
		if ext == ".tfvars" {
			m.add(block{kind: "values", name: e.Name(), attributes: content(data, body, 0)})
			continue
		}
		for _, b := range body.Blocks {
			m.add(block{kind: b.Type, name: strings.Join(b.Labels, "."), attributes: content(data, b.Body, 0)})
		}
	}
	return m
}

func bodyOf(file *hcl.File) (*hclsyntax.Body, bool) {
	if file == nil {
		return nil, false
	}
	body, ok := file.Body.(*hclsyntax.Body)
	return body, ok
}

// add adds a block. Those that may stand several times, such as locals, are
// one; a provider that has an alias is told apart by it.
func (m module) add(b block) {
	key := b.kind + "\x00" + b.name
	if alias, ok := b.attributes["alias"].(string); ok && b.kind == "provider" {
		b.name += "." + alias
		key += "\x00" + alias
	}
	if before, ok := m.blocks[key]; ok {
		maps.Copy(before.attributes, b.attributes)
		return
	}
	m.blocks[key] = b
}

// content is a body as the values that a person wrote: text of expressions,
// and lists of nested blocks.
func content(data []byte, body *hclsyntax.Body, depth int) map[string]any {
	values := map[string]any{}
	if depth > maxDepth {
		return values
	}
	for name, a := range body.Attributes {
		values[name] = expression(data, a.Expr)
	}
	nested := map[string][]any{}
	for _, b := range body.Blocks {
		name := strings.Join(append([]string{b.Type}, b.Labels...), ".")
		nested[name] = append(nested[name], content(data, b.Body, depth+1))
	}
	for name, list := range nested {
		values[name] = list
		if len(list) == 1 {
			values[name] = list[0]
		}
	}
	return values
}

// expression is the value of a literal, and the text of anything else.
func expression(data []byte, e hclsyntax.Expression) any {
	if v, diagnostics := e.Value(nil); !diagnostics.HasErrors() && v.IsWhollyKnown() && !v.IsNull() {
		switch v.Type() {
		case cty.String:
			return v.AsString()
		case cty.Bool:
			return v.True()
		case cty.Number:
			f, _ := v.AsBigFloat().Float64()
			return f
		}
	}
	r := e.Range()
	return strings.Join(strings.Fields(string(r.SliceBytes(data))), " ")
}

func compareModules(before, after module) []Change {
	var changes []Change
	keys := map[string]bool{}
	for key := range before.blocks {
		keys[key] = true
	}
	for key := range after.blocks {
		keys[key] = true
	}
	for _, file := range slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(before.broken), after.broken...)))) {
		changes = append(changes, Change{
			Layer: Terraform, Action: Changed, Subject: "file " + file,
			Notes: []string{"it is no valid HCL on one of the two sides: its blocks were not compared"},
		})
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		old, was := before.blocks[key]
		fresh, is := after.blocks[key]
		switch {
		case !was:
			changes = append(changes, blockChange(Created, fresh, nil, fresh.attributes))
		case !is && len(after.broken) == 0:
			changes = append(changes, blockChange(Deleted, old, old.attributes, nil))
		case is:
			if change := blockChange(Changed, fresh, old.attributes, fresh.attributes); len(change.Fields) > 0 {
				changes = append(changes, change)
			}
		}
	}
	return changes
}

func blockChange(action Action, b block, old, fresh map[string]any) Change {
	subject := b.kind
	if b.name != "" {
		subject += " " + b.name
	}
	change := Change{Layer: Terraform, Action: action, Subject: subject}
	mask := masker{}
	if b.kind == "variable" && secretKey.MatchString(b.name) {
		mask.secret = func(text string) bool { return true }
	}
	d := fieldDiffer{mask: mask, noise: map[string]bool{}}
	if old == nil {
		old = map[string]any{}
	}
	if fresh == nil {
		fresh = map[string]any{}
	}
	d.maps(nil, old, fresh)
	change.Fields, change.More = d.fields, d.more
	sortFields(change.Fields)
	switch {
	case action == Deleted && b.kind == "resource":
		change.Dangers = append(change.Dangers, "Terraform destroys it, unless a moved or removed block says otherwise")
	case action == Deleted && b.kind == "module":
		change.Dangers = append(change.Dangers, "Terraform destroys all that is in it, unless moved blocks say otherwise")
	case b.kind == "terraform" && slices.ContainsFunc(change.Fields, func(f Field) bool { return strings.HasPrefix(f.Path, `["backend`) }):
		change.Dangers = append(change.Dangers, "the state moves: terraform init -migrate-state, or everything is created anew")
	}
	for _, f := range change.Fields {
		if strings.HasSuffix(f.Path, "prevent_destroy") && f.New != true {
			change.Dangers = append(change.Dangers, fmt.Sprintf("%s no longer protects it", f.Path))
		}
	}
	return change
}
