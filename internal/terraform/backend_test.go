package terraform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const tableOnly = `# Where the states are.
bucket         = "archipel-state"
region         = "us-east-1"
dynamodb_table = "archipel-locks" # who applies

endpoints = {
  s3       = "https://s3.archipel.example"
  dynamodb = "https://dynamodb.archipel.example"
}
`

// TestNext goes from the table to the lock file, and looks at what stays.
func TestNext(t *testing.T) {
	b, err := parseBackend("backend.hcl", []byte(tableOnly))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []Lock{Both, Lockfile, Lockfile} {
		content, next, err := b.Next()
		if err != nil || next != want {
			t.Fatalf("next %s, %v, want %s", next, err, want)
		}
		if b, err = parseBackend("backend.hcl", content); err != nil {
			t.Fatal(err)
		}
		if b.Lock() != want {
			t.Errorf("it locks with %s, want %s:\n%s", b.Lock(), want, content)
		}
		if !strings.Contains(string(content), "# Where the states are.") || b.Endpoint != "https://s3.archipel.example" {
			t.Errorf("something else has changed:\n%s", content)
		}
	}
}

func TestReadBackend(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"no region":   {`bucket = "a"`, "region is missing"},
		"no HCL":      {`bucket = `, "backend.hcl:1,10"},
		"a block":     {"bucket = \"a\"\nendpoints {\n}\n", "endpoints"},
		"credentials": {"bucket = \"a\"\nregion = \"b\"\nsecret_key = \"c\"\n", "backend.hcl:3:1: secret_key does not belong in a file"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "backend.hcl")
			if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := ReadBackend(file); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestBackendOf(t *testing.T) {
	dir := t.TempDir()
	for _, step := range []struct {
		file, backend string
		want          EnvironmentBackend
	}{
		{"backend.tf", `"s3" {}`, EnvironmentBackend{Kind: "s3"}},
		{"a_override.tf", `"local" {}`, EnvironmentBackend{"local", filepath.Join(dir, "terraform.tfstate")}},
		{"b_override.tf", `"local" { path = "../kept" }`, EnvironmentBackend{"local", filepath.Join(dir, "../kept")}},
		{"c_override.tf", `"local" { path = "/srv/kept" }`, EnvironmentBackend{"local", "/srv/kept"}},
	} {
		if err := os.WriteFile(filepath.Join(dir, step.file), []byte("terraform {\n  backend "+step.backend+"\n}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := BackendOf(dir); err != nil || got != step.want {
			t.Errorf("%q, %v, want %q", got, err, step.want)
		}
	}
}
