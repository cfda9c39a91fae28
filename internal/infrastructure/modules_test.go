package infrastructure

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"archipel/internal/archtest"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func modules(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(kubernetes, "terraform", "modules", "*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no module: %v", err)
	}
	var names []string
	for _, folder := range folders {
		names = append(names, filepath.Base(folder))
	}
	return names
}

// Every module has tests, with mocks of the provider, and they pass.
func TestModules(t *testing.T) {
	eachTool(t, func(t *testing.T, w *workspace) {
		for _, name := range modules(t) {
			t.Run(name, func(t *testing.T) {
				folder := "kubernetes/terraform/modules/" + name
				w.must(t, 0, folder, "init", "-input=false", "-no-color")
				r := w.must(t, 0, folder, "test", "-no-color")
				if !strings.Contains(r.stdout, "Success!") || strings.Contains(r.stdout, "Success! 0 passed") {
					t.Errorf("no test has run:\n%s", r.all())
				}
				if r := w.run(t, folder, "validate", "-no-color"); r.code != 0 || strings.Contains(r.all(), "Warning") {
					t.Errorf("not valid:\n%s", r.all())
				}
			})
		}
		t.Run("format", func(t *testing.T) {
			if r := w.run(t, "kubernetes/terraform", "fmt", "-check", "-recursive", "-diff"); r.code != 0 {
				t.Errorf("not formatted:\n%s", r.all())
			}
		})
		t.Run("environments", func(t *testing.T) {
			folders, err := filepath.Glob(w.path("kubernetes/terraform/envs/*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, folder := range folders {
				folder = "kubernetes/terraform/envs/" + filepath.Base(folder)
				w.must(t, 0, folder, "init", "-input=false", "-no-color", "-backend=false")
				if r := w.run(t, folder, "validate", "-no-color"); r.code != 0 || strings.Contains(r.all(), "Warning") {
					t.Errorf("%s is not valid:\n%s", folder, r.all())
				}
			}
		})
	})
}

// tflint finds nothing in the modules and the environments.
func TestLint(t *testing.T) {
	dir := mirrored(t)
	root, err := filepath.Abs(filepath.Join(kubernetes, "terraform"))
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob(filepath.Join(root, "*", "*", "main.tf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range folders {
		command := exec.CommandContext(t.Context(), filepath.Join(dir, "bin", "tflint"), "--no-color", "--config", filepath.Join(root, ".tflint.hcl"), "--chdir", filepath.Dir(file))
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
		if r := finish(t, command); r.code != 0 {
			t.Errorf("%s: exit code %d\n%s", filepath.Dir(file), r.code, r.all())
		}
	}
}

// Environments of machines that are made differ in nothing but what their inventories say.
func TestLockFiles(t *testing.T) {
	locks, err := filepath.Glob(filepath.Join(kubernetes, "terraform", "envs", "*", ".terraform.lock.hcl"))
	if err != nil || len(locks) == 0 {
		t.Fatalf("no lock file: %v", err)
	}
	first, err := os.ReadFile(locks[0])
	if err != nil {
		t.Fatal(err)
	}
	pins, err := os.ReadFile(filepath.Join("..", "..", "tools", "terraform", "provider", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(string(first), "version     = \"")
	version, _, _ = strings.Cut(version, "\"")
	if !strings.Contains(string(pins), "terraform-provider-libvirt v"+version+"\n") {
		t.Errorf("%s locks version %s of the provider, and tools/terraform/provider builds another", locks[0], version)
	}
	for _, lock := range locks[1:] {
		if data, err := os.ReadFile(lock); err != nil || !bytes.Equal(data, first) {
			t.Errorf("%s differs from %s: %v", lock, locks[0], err)
		}
	}
}

// The page of every module lists its inputs and outputs.
func TestGeneratedPages(t *testing.T) {
	for _, name := range modules(t) {
		folder := filepath.Join(kubernetes, "terraform", "modules", name)
		file := filepath.Join(folder, "README.md")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		const mark = "<!-- make generate writes what follows -->\n"
		written, _, ok := strings.Cut(string(data), mark)
		if !ok {
			t.Fatalf("%s lacks the line %s", file, mark)
		}
		archtest.Generated(t, file, []byte(written+mark+reference(t, folder)), *update)
	}
}

func reference(t *testing.T, folder string) string {
	t.Helper()
	var page strings.Builder
	inputs, outputs := blocks(t, folder, "variable"), blocks(t, folder, "output")
	if len(inputs) > 0 {
		page.WriteString("\n## Inputs\n\n| name | type | default | description |\n|---|---|---|---|\n")
	}
	for _, b := range inputs {
		fallback := "required"
		if b.has("default") {
			fallback = "`" + b.source(t, "default") + "`"
		}
		fmt.Fprintf(&page, "| `%s` | `%s` | %s | %s |\n", b.name, b.source(t, "type"), fallback, b.text(t, "description"))
	}
	page.WriteString("\n## Outputs\n\n| name | description |\n|---|---|\n")
	for _, b := range outputs {
		fmt.Fprintf(&page, "| `%s` | %s |\n", b.name, b.text(t, "description"))
	}
	return page.String()
}

// block is a variable or an output of a module.
type block struct {
	name string
	body *hclsyntax.Body
	data []byte
}

func blocks(t *testing.T, folder, kind string) []block {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.tf"))
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, diagnostics := hclsyntax.ParseConfig(data, file, hcl.InitialPos)
		if diagnostics.HasErrors() {
			t.Fatal(diagnostics)
		}
		for _, b := range parsed.Body.(*hclsyntax.Body).Blocks {
			if b.Type == kind {
				found = append(found, block{name: b.Labels[0], body: b.Body, data: data})
			}
		}
	}
	slices.SortFunc(found, func(a, b block) int { return strings.Compare(a.name, b.name) })
	return found
}

func (b block) has(name string) bool { _, ok := b.body.Attributes[name]; return ok }

// source is how an attribute is written, on one line.
func (b block) source(t *testing.T, name string) string {
	t.Helper()
	if !b.has(name) {
		t.Fatalf("%s has no %s", b.name, name)
	}
	r := b.body.Attributes[name].Expr.Range()
	text := strings.Join(strings.Fields(string(b.data[r.Start.Byte:r.End.Byte])), " ")
	if kind, _, ok := strings.Cut(text, "{"); ok && len(text) > 60 {
		text = strings.TrimSuffix(kind, "(") + strings.Repeat(")", max(strings.Count(kind, "(")-1, 0))
	}
	return text
}

func (b block) text(t *testing.T, name string) string {
	t.Helper()
	if !b.has(name) {
		t.Fatalf("%s has no %s", b.name, name)
	}
	value, diagnostics := b.body.Attributes[name].Expr.Value(nil)
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics)
	}
	return value.AsString()
}
