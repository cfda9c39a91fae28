package guard

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"archipel/internal/finding"
	"archipel/internal/source"
)

// canary is a value that must not show anywhere.
const canary = "CANARY7hunter2"

const (
	sealedValue = "ENC[AES256_GCM,data:ZXhhbXBsZQ==,iv:ZXhhbXBsZQ==,tag:ZXhhbXBsZQ==,type:str]"
	metadata    = "sops:\n  mac: " + sealedValue + "\n"
)

// Keys for tests are in parts, because this repository is checked too.
func keys() map[string]string {
	begin := "-----BEGIN "
	base := strings.Repeat("Kq9x2Lm7", 6)[:42] + "Y="
	return map[string]string{
		"age":        "AGE-SECRET-KEY-" + "1" + strings.Repeat("Q", 58),
		"age hybrid": "AGE-SECRET-KEY-" + "PQ-1" + strings.Repeat("Q", 58),
		"pem":        begin + "OPENSSH PRIVATE KEY-----",
		"pgp":        begin + "PGP PRIVATE KEY BLOCK-----",
		"kubeconfig": "client-key-data: " + base64.StdEncoding.EncodeToString([]byte(begin+"EC PRIVATE KEY-----\nMHcCAQEEIExampleExample")),
		"wireguard":  "[Interface]\nPrivateKey = " + base,
		"preshared":  "PresharedKey=" + base,
		"ansible":    "wireguard_private_key: \"" + base + "\"",
		"by node":    "wireguard_private_keys:\n  site-a-server-1: " + base,
		"k3s":        "token: K10" + strings.Repeat("0a", 32) + "::server:" + canary,
		"k3s join":   "K10" + strings.Repeat("0a", 32) + "::abcdef.0123456789abcdef",
		"github":     "gh" + "p_" + strings.Repeat("a1B2", 9),
		"github new": "github_" + "pat_" + strings.Repeat("a", 82),
		"gitlab":     "glp" + "at-" + strings.Repeat("a1B2", 5),
		"aws":        "AK" + "IAQYLPMN5HHHFPZAM2",
	}
}

func TestKeys(t *testing.T) {
	for name, text := range keys() {
		t.Run(name, func(t *testing.T) {
			for _, file := range []string{"notes.md", "bin/data", "a.yaml", "x.txtar"} {
				found := Content(file, []byte("first\n\x00 "+text+"\nlast\n"))
				if len(found) != 1 || found[0].Position.Line < 2 || found[0].Position.Column < 2 {
					t.Fatalf("%s: %+v", file, found)
				}
				quotesNothing(t, found)
			}
		})
	}
	public := strings.Repeat("Kq9x2Lm7", 6)[:42] + "Y="
	for name, text := range map[string]string{
		"age, too short": "AGE-SECRET-KEY-1NONSENSE", "age in prose": "AGE-SECRET-KEY-1...",
		"certificate": "-----BEGIN CERTIFICATE-----", "public key": "-----BEGIN PUBLIC KEY-----",
		"certificate in base64": base64.StdEncoding.EncodeToString([]byte("-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUExampleExampleExample")),
		"public":                "PublicKey = " + public, "public by node": "wireguard_public_keys:\n  site-a: " + public,
		"no key": "private_key: see elsewhere", "encrypted": "private_key: " + sealedValue,
		"k3s form": "K10<CA-HASH>::server:<password>", "github form": "ghp_xxx", "aws, documented": "AK" + "IAIOSFODNN7EXAMPLE",
	} {
		if found := Content("a.md", []byte(text)); len(found) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// quotesNothing fails when a finding could show a value.
func quotesNothing(t *testing.T, found []finding.Finding) {
	t.Helper()
	for _, f := range found {
		if !f.Secret {
			t.Errorf("printers would quote the line of %+v", f)
		}
		if f.Fix == "" || f.Message == "" || strings.Contains(f.Message+f.Fix, "\n") || strings.HasSuffix(f.Message, ".") {
			t.Errorf("message %q, fix %q: one line without full stop", f.Message, f.Fix)
		}
		if strings.Contains(f.Message+f.Fix, canary) {
			t.Errorf("quotes the value: %+v", f)
		}
		if !slices.Contains(Rules(), f.Rule) {
			t.Errorf("no such rule: %+v", f)
		}
	}
}

func TestContent(t *testing.T) {
	manifest := "apiVersion: v1\nkind: Secret\n"
	for _, test := range []struct {
		name, file, text string
		want             []string // rule line:column
	}{
		{"secret", "a.yaml", manifest + "stringData:\n  a: " + canary, []string{"secret-plaintext 4:6"}},
		{"secret in JSON", "a.json", `{"kind": "Secret", "apiVersion": "v1", "data": {"a": "` + canary + `"}}`, []string{"secret-plaintext 1:54"}},
		{"second document", "a.yml", "a: 1\n---\n" + manifest + "data: {a: '', b: null, c: " + canary + "}", []string{"secret-plaintext 5:27"}},
		{"number", "a.yaml", manifest + "stringData: {port: 5432}", []string{"secret-plaintext 3:20"}},
		{"in a list", "a.yaml", "kind: List\nitems:\n- kind: Secret\n  apiVersion: v1\n  data:\n    a: " + canary, []string{"secret-plaintext 6:8"}},
		{"in a play", "p.yml", "- k8s:\n    definition:\n      kind: Secret\n      stringData: {a: '{{ x }}', b: " + canary + "}", []string{"secret-plaintext 4:37"}},
		{"values that are filled in", "a.yaml", manifest + "stringData:\n  a: ${x}\n  b: ${x:=}\n  c: '{{ .Values.x }}'\n  d: |\n    ${x}\n", nil},
		{"a default is a value", "a.yaml", manifest + "stringData:\n  a: ${x:=" + canary + "}", []string{"secret-plaintext 4:6"}},
		{"part of it is filled in", "a.yaml", manifest + "stringData:\n  a: ${x}" + canary, []string{"secret-plaintext 4:6"}},
		{"other kinds", "a.yaml", "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\ndata: {a: b}\n---\napiVersion: v1\nkind: ConfigMap\ndata: {a: Secret}\n---\napiVersion: x/v1\nkind: Secret\ndata: {a: b}", nil},
		{"no manifest", "a.md", manifest + "data: {a: b}", nil},
		{"generator", "kustomization.yaml", "secretGenerator:\n- name: a\n  literals:\n  - x=" + canary + "\n  - y=\n  files: [a.sops.yaml]", []string{"secret-plaintext 4:5"}},
		{"anchor", "a.yaml", "x: &x {a: " + canary + "}\n---\ny: &y {b: " + canary + "}\nz:\n  kind: Secret\n  data: *y", []string{"secret-plaintext 3:11"}},
		{
			"template", "templates/a.yaml", "{{ if .x }}\n" + manifest + "data:\n  {{- range . }}\n  a: {{ b }}\n  " + canary + "\n  c: " + canary + "\n  d: |-\n    " + canary + ": x\n{{ end }}\nmetadata:\n  name: x",
			[]string{"secret-plaintext 7:3", "secret-plaintext 8:3", "secret-plaintext 10:5"},
		},
		{"template, kind last", "a.tpl", "{{ if . }}\ndata: {a: " + canary + "}\nkind: Secret\n", []string{"secret-plaintext 2:1"}},
		{"template of another kind", "a.j2", "{{ if . }}\nkind: ConfigMap\ndata:\n  a: Secret\n---\nkind: Secret\n", nil},
		{"broken YAML", "a.yaml", "\t: [\n" + manifest + "data:\n  a: " + canary, []string{"secret-plaintext 5:3"}},

		{"encrypted", "a.sops.yaml", manifest + "data: {a: '" + sealedValue + "', b: ''}\n" + metadata + "  encrypted_regex: ^(data|stringData)$\n", nil},
		{"not encrypted", "a.sops.yaml", manifest + "data: {a: " + canary + "}\n", []string{"sops-unencrypted 1:1"}},
		{"without checksum", "a.sops.yaml", "a: " + sealedValue + "\nsops: {age: []}\n", []string{"sops-unencrypted 1:1"}},
		{"nothing encrypted", "a.sops.yml", "a: " + canary + "\n" + metadata + "  encrypted_regex: ^b$\n", []string{"sops-unencrypted 1:1"}},
		{"a value by hand", "a.sops.yaml", "a: " + sealedValue + "\nb: {c: [" + canary + "]}\n" + metadata, []string{"sops-value-plaintext 2:9"}},
		{"a value that may be plain", "a.sops.yaml", "a: " + sealedValue + "\nb_unencrypted: x\n" + metadata, nil},
		{"a Secret whatever the expression", "a.sops.yaml", manifest + "data: {a: " + canary + ", b: '" + sealedValue + "'}\n" + metadata + "  encrypted_regex: ^b$\n", []string{"sops-value-plaintext 3:11"}},
		{"an expression that is none", "a.sops.yaml", "a: " + sealedValue + "\nb: " + canary + "\n" + metadata + "  encrypted_regex: '('\n", []string{"sops-value-plaintext 2:4"}},
		{"one document of two", "a.sops.yaml", "a: " + sealedValue + "\n" + metadata + "---\na: " + canary, []string{"sops-unencrypted 5:1"}},
		{"a text", "a.sops.yaml", canary, []string{"sops-unencrypted 1:1"}},
		{"a list", "a.sops.yaml", "- " + canary, []string{"sops-unencrypted 1:1"}},
		{"cut off", "a.sops.yaml", "a: '" + canary, []string{"sops-unencrypted 0:0"}},
		{"empty", "a.sops.yaml", "# nothing\n", nil},
		{"JSON", "a.sops.json", `{"a": "` + canary + `"}`, []string{"sops-unencrypted 1:1"}},
		{"wrapped", "a.sops.bin", `{"data": "` + sealedValue + `", "sops": {"mac": "` + sealedValue + `"}}`, nil},
		{"not wrapped", "a.sops.key", canary + "\x00\xff", []string{"sops-unencrypted 0:0"}},
		{"variables", "a.sops.env", "A=" + canary + "\n", []string{"sops-unencrypted 0:0"}},
		{"variables, one by hand", "a.sops.env", "A=" + sealedValue + "\n#x\nB=" + canary + "\n" + dotenv, []string{"sops-value-plaintext 3:1"}},
		{"no variables", "a.sops.env", "\n", nil},
		{"INI", "a.sops.ini", "[a]\nb = " + canary + "\n", []string{"sops-unencrypted 0:0"}},
		{"the rules", ".sops.yaml", "creation_rules: []\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := Content(test.file, []byte(test.text))
			quotesNothing(t, found)
			var got []string
			for _, f := range found {
				got = append(got, fmt.Sprintf("%s %d:%d", f.Rule, f.Position.Line, f.Position.Column))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// dotenv is the metadata of a list of variables.
const dotenv = `sops_age__list_0__map_enc=x
sops_age__list_0__map_recipient=age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq
sops_lastmodified=2026-01-01T00:00:00Z
sops_mac=` + sealedValue + `
sops_version=3.13.3
`

func TestChoice(t *testing.T) {
	for name, test := range map[string]struct {
		metadata string
		chosen   []string // of data.a, metadata.name, other_unencrypted, data.b_secret
	}{
		"encrypted_regex":    {"encrypted_regex: ^(data|stringData)$", []string{"data.a", "data.b_secret"}},
		"unencrypted_regex":  {"unencrypted_regex: ^metadata$", []string{"data.a", "other_unencrypted", "data.b_secret"}},
		"encrypted_suffix":   {"encrypted_suffix: _secret", []string{"data.b_secret"}},
		"unencrypted_suffix": {"unencrypted_suffix: _secret", []string{"data.a", "metadata.name", "other_unencrypted"}},
		"default":            {"version: 3.13.3", []string{"data.a", "metadata.name", "data.b_secret"}},
		"broken expression":  {`encrypted_regex: "("`, []string{"data.a", "metadata.name", "other_unencrypted", "data.b_secret"}},
	} {
		y, findings := source.ParseYAML("f.yaml", []byte("sops:\n  "+test.metadata+"\n"))
		if len(findings) > 0 {
			t.Fatal(findings)
		}
		chosen := choice(y.Documents[0])
		var got []string
		for _, path := range []string{"data.a", "metadata.name", "other_unencrypted", "data.b_secret"} {
			if chosen(strings.Split(path, ".")) {
				got = append(got, path)
			}
		}
		if !slices.Equal(got, test.chosen) {
			t.Errorf("%s: %q, want %q", name, got, test.chosen)
		}
	}
}

// TestGuard asks for gitleaks where it should be asked, and for nothing of what is no text.
func TestGuard(t *testing.T) {
	slack := "xo" + "xb-1234567890123-1234567890123-" + strings.Repeat("aB3d", 6)
	age := keys()["age"]
	files := fstest.MapFS{
		"a.txt":       {Data: []byte("one\n\n  token = \"" + slack + "\" # gitleaks:allow\n")},
		"b.bin":       {Data: []byte("\x00" + slack)},
		"c.txt":       {Data: []byte("key " + age)},
		"d.sops.yaml": {Data: []byte("api_key: " + sealedValue + "\npassword: " + sealedValue + "\n" + metadata)},
		"link":        {Data: []byte("c.txt"), Mode: fs.ModeSymlink},
		"folder/f":    {Data: []byte(slack + "\n" + strings.Repeat("x", source.MaxSize))},
	}
	names := []string{"a.txt", "b.bin", "c.txt", "d.sops.yaml", "link", "folder", "folder/f", "gone"}
	check := func(thorough bool) []string {
		found, err := New(nil).Check(t.Context(), Tree(files, names), thorough)
		if err != nil {
			t.Fatal(err)
		}
		quotesNothing(t, found)
		var got []string
		for _, f := range found {
			if strings.Contains(f.Message, slack) {
				t.Errorf("quotes the token: %q", f.Message)
			}
			got = append(got, fmt.Sprintf("%s %s:%d:%d", f.Rule, f.Position.File, f.Position.Line, f.Position.Column))
		}
		return got
	}
	if got, want := check(false), []string{"secret-private-key c.txt:1:5"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := check(true), []string{"secret-detected a.txt:3:12", "secret-private-key c.txt:1:5"}; !slices.Equal(got, want) {
		t.Errorf("thorough: got %q, want %q", got, want)
	}
}

func TestGuardCannotRead(t *testing.T) {
	broken := errors.New("broken")
	files := []File{
		{Name: "a", Commit: strings.Repeat("0a", 20), Read: func() ([]byte, error) { return []byte(keys()["age"]), nil }},
		{Name: "b", Read: func() ([]byte, error) { return nil, source.ErrLarge }},
		{Name: "c", Read: func() ([]byte, error) { return nil, broken }},
	}
	found, err := New(nil).Check(t.Context(), files, false)
	if err != nil || len(found) != 3 {
		t.Fatal(found, err)
	}
	if !strings.HasSuffix(found[0].Message, "in commit 0a0a0a0a0a0a") || found[1].Rule != RuleUnchecked || found[1].Severity != finding.Warning ||
		found[2].Rule != RuleUnreadable || found[2].Severity != finding.Error {
		t.Errorf("%+v", found)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(nil).Check(ctx, files, false); !errors.Is(err, context.Canceled) {
		t.Errorf("it was interrupted, and says %v", err)
	}
}

// FuzzContent looks for panics, for places that are not in the file, and for values in what
// is said.
func FuzzContent(f *testing.F) {
	for _, text := range keys() {
		f.Add(uint8(0), text)
	}
	f.Add(uint8(1), "kind: Secret\ndata:\n  a: "+canary+"\n  b: |\n    "+canary)
	f.Add(uint8(2), "{{ x }}\nkind: Secret\ndata:\n  a: "+canary+"\n  b: |\n    "+canary+": x")
	f.Add(uint8(3), "a: "+canary+"\nb: "+sealedValue+"\n"+metadata)
	f.Add(uint8(4), "A="+canary+"\n"+dotenv)
	f.Add(uint8(5), "[a]\nb = "+canary+"\n[sops]\nmac = x\n")
	f.Add(uint8(6), `{"data": "`+canary+`"}`)
	names := []string{"a.md", "a.yaml", "templates/a.tpl", "a.sops.yaml", "a.sops.env", "a.sops.ini", "a.sops.bin"}
	f.Fuzz(func(t *testing.T, name uint8, text string) {
		file := names[int(name)%len(names)]
		lines := strings.Count(text, "\n") + 1
		for _, one := range Content(file, []byte(text)) {
			if one.Position.Line > lines || one.Position.File != file || one.Rule == "" || !one.Secret {
				t.Errorf("%+v in a file of %d lines", one, lines)
			}
		}
		// A value is put where only values are.
		value := "x" + canary + strings.NewReplacer("\n", "", "\r", "").Replace(text)
		for file, text := range map[string]string{
			"a.yaml":      "kind: Secret\nstringData:\n  a: " + value + "\n",
			"a.tpl":       "{{ x }}\nkind: Secret\nstringData:\n  a: |\n    " + value + "\n",
			"a.sops.yaml": "a: " + value + "\nb: " + sealedValue + "\n" + metadata,
			"a.sops.env":  "A=" + value + "\n" + dotenv,
			"a.sops.json": `{"a": "` + value + `"}`,
		} {
			quotesNothing(t, Content(file, []byte(text)))
		}
	})
}
