package terraform

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Backend is what backend.hcl says: where the fleet keeps its states, and how they are locked.
type Backend struct {
	Bucket, Region string
	Endpoint       string // of S3
	TableEndpoint  string // of DynamoDB
	PathStyle      bool
	Encrypt        bool
	Table          string // dynamodb_table
	Lockfile       bool   // use_lockfile
	Profile        string
	content        []byte
}

// Lock is how states are locked.
type Lock string

// The ways, in the order in which a fleet goes through them.
const (
	NoLock   Lock = "none"
	Table    Lock = "dynamodb"
	Both     Lock = "both"
	Lockfile Lock = "lockfile"
)

// Lock returns how states are locked.
func (b *Backend) Lock() Lock {
	switch {
	case b.Table != "" && b.Lockfile:
		return Both
	case b.Table != "":
		return Table
	case b.Lockfile:
		return Lockfile
	}
	return NoLock
}

// Key is the name of a site's state in the bucket.
func Key(site string) string { return site + "/terraform.tfstate" }

// ReadBackend reads a partial configuration of the S3 backend. The error names the line.
func ReadBackend(name string) (*Backend, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading where states are kept: %w", err)
	}
	return parseBackend(name, content)
}

func parseBackend(name string, content []byte) (*Backend, error) {
	file, diagnostics := hclsyntax.ParseConfig(content, name, hcl.InitialPos)
	if diagnostics.HasErrors() {
		return nil, fmt.Errorf("reading where states are kept: %w", diagnostics)
	}
	attributes, diagnostics := file.Body.JustAttributes()
	if diagnostics.HasErrors() {
		return nil, fmt.Errorf("reading where states are kept: %w", diagnostics)
	}
	b := &Backend{content: content}
	for _, attribute := range attributes {
		v, diagnostics := attribute.Expr.Value(nil)
		if diagnostics.HasErrors() {
			return nil, fmt.Errorf("reading where states are kept: %w", diagnostics)
		}
		if v.IsNull() || !v.IsKnown() {
			continue
		}
		switch attribute.Name {
		case "bucket":
			b.Bucket = text(v)
		case "region":
			b.Region = text(v)
		case "profile":
			b.Profile = text(v)
		case "dynamodb_table":
			b.Table = text(v)
		case "use_lockfile":
			b.Lockfile = yes(v)
		case "encrypt":
			b.Encrypt = yes(v)
		case "use_path_style", "force_path_style":
			b.PathStyle = yes(v)
		case "endpoint":
			b.Endpoint = text(v)
		case "dynamodb_endpoint":
			b.TableEndpoint = text(v)
		case "endpoints":
			if v.Type().IsObjectType() || v.Type().IsMapType() {
				values := v.AsValueMap()
				b.Endpoint, b.TableEndpoint = text(values["s3"]), text(values["dynamodb"])
			}
		case "access_key", "secret_key", "token", "sse_customer_key":
			return nil, fmt.Errorf("%s:%d:%d: %s does not belong in a file: it would stand in Git, and in every plan",
				name, attribute.NameRange.Start.Line, attribute.NameRange.Start.Column, attribute.Name)
		}
	}
	for _, need := range []struct{ name, value string }{{"bucket", b.Bucket}, {"region", b.Region}} {
		if need.value == "" {
			return nil, fmt.Errorf("%s: %s is missing", name, need.name)
		}
	}
	return b, nil
}

func text(v cty.Value) string {
	if v == cty.NilVal || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}

// yes reads a switch, also one in quotes, as Terraform does.
func yes(v cty.Value) bool {
	if v.Type() == cty.Bool {
		return v.True()
	}
	return text(v) == "true"
}

// Next returns backend.hcl for the next way to lock: from the table to both, from both to the
// lock file alone. Everything else stays as it was written.
func (b *Backend) Next() ([]byte, Lock, error) {
	file, diagnostics := hclwrite.ParseConfig(b.content, "", hcl.InitialPos)
	if diagnostics.HasErrors() {
		return nil, "", fmt.Errorf("reading where states are kept: %w", diagnostics)
	}
	next := Both
	switch b.Lock() {
	case Both:
		next = Lockfile
		file.Body().RemoveAttribute("dynamodb_table")
		// endpoints.dynamodb may stay: nothing asks it any more.
	case Table, NoLock:
		file.Body().SetAttributeValue("use_lockfile", cty.True)
		if b.Lock() == NoLock {
			next = Lockfile
		}
	case Lockfile:
		return b.content, Lockfile, nil
	}
	return hclwrite.Format(file.Bytes()), next, nil
}

// EnvironmentBackend is what an environment says of its backend: its kind, s3, local or another,
// "" when it names none, and where a local one keeps the state.
type EnvironmentBackend struct{ Kind, Path string }

// BackendOf reads which backend an environment uses. An override file wins, as for the tool.
func BackendOf(dir string) (EnvironmentBackend, error) {
	var backend EnvironmentBackend
	entries, err := os.ReadDir(dir)
	if err != nil {
		return backend, fmt.Errorf("reading an environment of Terraform: %w", err)
	}
	override := func(name string) bool { return name == "override.tf" || strings.HasSuffix(name, "_override.tf") }
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int {
		switch {
		case override(a.Name()) == override(b.Name()):
			return strings.Compare(a.Name(), b.Name())
		case override(a.Name()):
			return 1
		}
		return -1
	})
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".tf" || entry.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return backend, fmt.Errorf("reading an environment of Terraform: %w", err)
		}
		file, diagnostics := hclsyntax.ParseConfig(data, entry.Name(), hcl.InitialPos)
		if diagnostics.HasErrors() {
			continue // the rules have said so
		}
		body, ok := file.Body.(*hclsyntax.Body)
		if !ok {
			continue
		}
		for _, block := range body.Blocks {
			if block.Type != "terraform" {
				continue
			}
			for _, inner := range block.Body.Blocks {
				if inner.Type == "backend" && len(inner.Labels) == 1 {
					backend = EnvironmentBackend{Kind: inner.Labels[0]}
					if backend.Kind == "local" {
						backend.Path = statePath(dir, inner.Body)
					}
				}
			}
		}
	}
	return backend, nil
}

// statePath is where a local backend keeps the state. The tool takes a relative path from the
// folder that it runs in, which may be archipel's own, and is made anew: it is taken from the
// environment instead.
func statePath(dir string, body *hclsyntax.Body) string {
	path := "terraform.tfstate"
	if attribute, ok := body.Attributes["path"]; ok {
		if v, diagnostics := attribute.Expr.Value(nil); !diagnostics.HasErrors() && text(v) != "" {
			path = text(v)
		}
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
