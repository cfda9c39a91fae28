package check

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/source"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Bounds on what Terraform's parser is given: it recurses, and a hostile file must not
// exhaust the stack.
const (
	maxTerraform          = 256 << 10 // bytes of a file
	maxTerraformDepth     = 100       // of open brackets
	maxTerraformOperators = 5000      // in a file
)

// configuration is one .tf file.
type configuration struct {
	path   string
	data   []byte
	body   *hclsyntax.Body // nil when it cannot be parsed
	broken []finding.Finding
}

// configurations returns the .tf files of the tree, sorted by path, each parsed once in a run.
func (f *Fleet) configurations() []*configuration {
	type key struct{}
	return once(f, key{}, func() []*configuration {
		var all []*configuration
		for _, name := range f.Files {
			if strings.HasPrefix(name, terraform+"/") && path.Ext(name) == ".tf" {
				all = append(all, f.configuration(name))
			}
		}
		return all
	})
}

// settings returns the files that complete a backend block, sorted by path, each parsed once in
// a run.
func (f *Fleet) settings() []*configuration {
	type key struct{}
	return once(f, key{}, func() []*configuration {
		var all []*configuration
		for _, name := range f.Files {
			if strings.HasPrefix(name, terraform+"/") && (path.Base(name) == "backend.hcl" || path.Ext(name) == ".tfbackend") {
				all = append(all, f.configuration(name))
			}
		}
		return all
	})
}

// eachBackend calls see for what says where states are kept: each backend block, and each file
// that completes one.
func (f *Fleet) eachBackend(see func(c *configuration, body *hclsyntax.Body)) {
	for _, c := range f.settings() {
		if c.body != nil {
			see(c, c.body)
		}
	}
	for _, m := range f.modules() {
		for _, b := range m.backends() {
			for _, c := range m.files {
				if c.path == b.DefRange().Filename {
					see(c, b.Body)
				}
			}
		}
	}
}

func (f *Fleet) configuration(name string) *configuration {
	c := &configuration{path: name}
	broken := func(at finding.Position, message string) *configuration {
		c.broken = append(c.broken, problem(at, "correct it as terraform validate would ask for", "not valid: %s", message))
		return c
	}
	var err error
	if c.data, err = f.Read(name); err != nil {
		c.broken = []finding.Finding{source.Unreadable(name, err)}
		return c
	}
	if len(c.data) > maxTerraform || recursive(c.data) {
		return broken(finding.Position{File: name}, fmt.Sprintf("larger than %d KiB, with brackets more than %d deep, or with more than %d operators",
			maxTerraform>>10, maxTerraformDepth, maxTerraformOperators))
	}
	file, diagnostics := hclsyntax.ParseConfig(c.data, name, hcl.InitialPos)
	for _, d := range diagnostics {
		at := finding.Position{File: name}
		if d.Subject != nil {
			at = c.place(*d.Subject)
		}
		broken(at, strings.ToLower(d.Summary[:min(1, len(d.Summary))])+d.Summary[min(1, len(d.Summary)):])
	}
	if !diagnostics.HasErrors() {
		c.body, _ = file.Body.(*hclsyntax.Body)
	}
	return c
}

// recursive says whether the parser would recurse too deeply into a file.
func recursive(data []byte) bool {
	templates := bytes.Count(data, []byte("%{")) + bytes.Count(data, []byte("${")) + bytes.Count(data, []byte("<<"))
	if templates > maxTerraformOperators { // nested ones take the lexer time that grows with their square
		return true
	}
	tokens, _ := hclsyntax.LexConfig(data, "", hcl.InitialPos) // the parser reports what is wrong with them
	depth, operators := 0, 0
	for _, token := range tokens {
		switch token.Type {
		case hclsyntax.TokenOParen, hclsyntax.TokenOBrack, hclsyntax.TokenOBrace, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl, hclsyntax.TokenOHeredoc:
			depth++
		case hclsyntax.TokenCParen, hclsyntax.TokenCBrack, hclsyntax.TokenCBrace, hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenCHeredoc:
			depth = max(depth-1, 0)
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent, hclsyntax.TokenQuestion,
			hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenDot:
			operators++
		default:
		}
		if depth > maxTerraformDepth || operators > maxTerraformOperators {
			return true
		}
	}
	return false
}

// place turns a range of the parser, which counts columns in characters, into a place of
// the repository, which counts bytes.
func (c *configuration) place(r hcl.Range) finding.Position {
	at := min(max(r.Start.Byte, 0), len(c.data))
	p := finding.Position{File: c.path, Line: r.Start.Line, Column: at - bytes.LastIndexByte(c.data[:at], '\n')}
	if r.End.Line == r.Start.Line {
		p.Width = r.End.Byte - r.Start.Byte
	}
	return p
}

// place is the place of a range in one of a module's files.
func (m *module) place(r hcl.Range) finding.Position {
	for _, c := range m.files {
		if c.path == r.Filename {
			return c.place(r)
		}
	}
	return finding.Position{File: r.Filename}
}

// module is a folder of .tf files.
type module struct {
	dir    string
	files  []*configuration
	broken bool // a file cannot be parsed: what it declares is unknown
}

// modules returns the folders of the tree that hold .tf files, sorted.
func (f *Fleet) modules() []*module {
	var all []*module
	for _, c := range f.configurations() {
		dir := path.Dir(c.path)
		at := slices.IndexFunc(all, func(m *module) bool { return m.dir == dir })
		if at < 0 {
			at = len(all)
			all = append(all, &module{dir: dir})
		}
		all[at].files = append(all[at].files, c)
		all[at].broken = all[at].broken || c.body == nil
	}
	return all
}

// root says whether a module is one that Terraform is run in: that of a site.
func (m *module) root() bool { return path.Dir(m.dir) == terraform+"/envs" }

// blocks returns the blocks of one type at the top of a module.
func (m *module) blocks(kind string) []*hclsyntax.Block {
	var found []*hclsyntax.Block
	for _, c := range m.files {
		if c.body == nil {
			continue
		}
		for _, b := range c.body.Blocks {
			if b.Type == kind {
				found = append(found, b)
			}
		}
	}
	return found
}

// label returns the first label of a block, "" when it has none.
func label(b *hclsyntax.Block) string {
	if len(b.Labels) > 0 {
		return b.Labels[0]
	}
	return ""
}

// literal returns the text that an attribute is given as such, "" when it is computed.
func literal(a *hclsyntax.Attribute) string {
	if a == nil {
		return ""
	}
	v, diagnostics := a.Expr.Value(nil)
	if diagnostics.HasErrors() || v.Type() != cty.String || !v.IsKnown() || v.IsNull() {
		return ""
	}
	return v.AsString()
}

// inputs returns the variables that a module declares, and whether each must be given.
func (m *module) inputs() map[string]bool {
	all := map[string]bool{}
	for _, b := range m.blocks("variable") {
		_, optional := b.Body.Attributes["default"]
		all[label(b)] = !optional
	}
	return all
}

// call is a module block that refers to a folder of the tree.
type call struct {
	block  *hclsyntax.Block
	source *hclsyntax.Attribute
	dir    string
	to     *module // nil when the folder holds no module
}

// calls returns the local modules that a module uses.
func (m *module) calls(all []*module) []call {
	var found []call
	for _, b := range m.blocks("module") {
		at := b.Body.Attributes["source"]
		text := literal(at)
		if !strings.HasPrefix(text, "./") && !strings.HasPrefix(text, "../") {
			continue
		}
		c := call{block: b, source: at, dir: path.Join(m.dir, text)}
		for _, other := range all {
			if other.dir == c.dir {
				c.to = other
			}
		}
		found = append(found, c)
	}
	return found
}

// traversals returns all references to values in a body, such as var.name.
func traversals(body *hclsyntax.Body) []hcl.Traversal {
	var all []hcl.Traversal
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics { // it returns what the function returns
		if e, ok := n.(*hclsyntax.ScopeTraversalExpr); ok {
			all = append(all, e.Traversal)
		}
		return nil
	})
	return all
}

// terraformExample is an example: one environment, and a module network with two inputs.
func terraformExample(main string) string {
	return overlay("kubernetes/terraform/envs/site-a/main.tf", main) + overlay("kubernetes/terraform/modules/network/main.tf", `
variable "name" {
  type = string
}

variable "cidr" {
  type    = string
  default = "198.51.100.0/24"
}
`)
}

// stateExample is where an environment keeps its state, for examples.
const stateExample = `
terraform {
  required_version = "~> 1.10"

  backend "s3" {
    bucket = "archipel-state"
    key    = "site-a/terraform.tfstate"
  }
}
`
