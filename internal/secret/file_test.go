package secret

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const plainVariables = "token: canary-value\nlist:\n  - canary-first\n  - canary-second\nnested:\n  key: canary-nested\n  number: 7\n"

// sealed makes a repository with one file of variables.
func sealed(t *testing.T) (*stand, string) {
	t.Helper()
	s := newStand(t, "site-a")
	s.init(t)
	name := inventories + "/site-a/host_vars/x.sops.yml"
	rules, err := LoadRules(s.Store)
	if err != nil {
		t.Fatal(err)
	}
	rule, err := rules.For(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(name, []byte(plainVariables), rule)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(s.Store, s.keys.Identities, f, nil); err != nil {
		t.Fatal(err)
	}
	return s, name
}

// What is wrong with a file is told once, without a value of it.
func TestOpenFileRefuses(t *testing.T) {
	base, name := sealed(t)
	encrypted := base.files(t)[name]
	other := newKeyring(t)
	edited := func(from, to string) string {
		t.Helper()
		if !strings.Contains(encrypted, from) {
			t.Fatalf("no %q in the file", from)
		}
		return strings.Replace(encrypted, from, to, 1)
	}
	value := regexp.MustCompile(`token: ENC\[AES256_GCM,data:(.)`).FindStringSubmatch(encrypted)
	flipped := "A"
	if value[1] == "A" {
		flipped = "B"
	}
	second := regexp.MustCompile(`(?m)^    - ENC.*$|^  - ENC.*$`).FindAllString(encrypted, -1)
	for test, broken := range map[string]struct {
		content string
		keys    *Identities
		want    error
	}{
		"wrong key":           {encrypted, other.Identities, ErrNoIdentity},
		"no key":              {encrypted, &Identities{}, ErrNoIdentity},
		"cut off":             {encrypted[:len(encrypted)/2], base.keys.Identities, ErrUnreadable},
		"cut off in metadata": {encrypted[:max(0, strings.Index(encrypted, "lastmodified"))], base.keys.Identities, ErrUnreadable},
		"empty":               {"", base.keys.Identities, ErrNotEncrypted},
		"plain":               {plainVariables, base.keys.Identities, ErrNotEncrypted},
		"no YAML":             {"a: [canary-value", base.keys.Identities, ErrUnreadable},
		"edited ciphertext":   {edited(value[0], value[0][:len(value[0])-1]+flipped), base.keys.Identities, ErrDamaged},
		"a plain value":       {edited("nested:", "added: canary-value\nnested:"), base.keys.Identities, ErrDamaged},
		"a removed value":     {strings.Replace(encrypted, second[1]+"\n", "", 1), base.keys.Identities, ErrAltered},
		"an edited MAC":       {regexp.MustCompile(`mac: ENC\[AES256_GCM,data:....`).ReplaceAllString(encrypted, "mac: ENC[AES256_GCM,data:AAAA"), base.keys.Identities, ErrAltered},
		"swapped values":      {strings.Replace(strings.Replace(encrypted, "token: ", "tokem: ", 1), "nested:", "token:", 1), base.keys.Identities, ErrDamaged},
		"edited data key":     {strings.Replace(encrypted, "AGE ENCRYPTED FILE-----\n        Y", "AGE ENCRYPTED FILE-----\n        Z", 1), base.keys.Identities, ErrNoIdentity},
	} {
		t.Run(test, func(t *testing.T) {
			s := &stand{Store: base.Store}
			s.put(t, name, broken.content)
			_, _, err := OpenFile(base.Store, broken.keys, name)
			if !errors.Is(err, broken.want) || !strings.HasPrefix(err.Error(), name+": ") {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "ENC[") || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error repeats the content: %v", err)
			}
			if base.files(t)[name] != broken.content {
				t.Error("the file has changed")
			}
		})
	}
}

func TestSet(t *testing.T) {
	s, name := sealed(t)
	for _, test := range []struct {
		path, value string
		changed     bool
		error       string
	}{
		{"token", "canary-value", false, ""},
		{"token", "another", true, ""},
		{`["nested"]["key"]`, "another", true, ""},
		{"nested/new/below", "another", true, ""},
		{"list/1", "another", true, ""},
		{"list/2", "third", true, ""},
		{"list/9", "another", false, "list is a list of 3 elements"},
		{"list/x", "another", false, "write a number"},
		{"list", "another", false, "holds several values"},
		{"token/below", "another", false, "token is a value"},
		{"key_unencrypted", "another", false, "would not be encrypted there"},
	} {
		path, err := ParsePath(test.path)
		if err != nil {
			t.Fatal(err)
		}
		f, before, err := OpenFile(s.Store, s.keys.Identities, name)
		if err != nil {
			t.Fatal(err)
		}
		changed, err := f.Set(path, test.value)
		if test.error != "" {
			if err == nil || !strings.Contains(err.Error(), test.error) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: got %v", test.path, err)
			}
			continue
		}
		if err != nil || changed != test.changed {
			t.Errorf("%s: %v, %v", test.path, changed, err)
			continue
		}
		if err := WriteFile(s.Store, s.keys.Identities, f, before); err != nil {
			t.Fatal(err)
		}
		if got := s.get(t, name, path...); got != test.value {
			t.Errorf("%s: got %q", test.path, got)
		}
	}
	// A value that stays keeps its ciphertext: a diff shows what has changed.
	line := func() string { return regexp.MustCompile(`number: ENC.*`).FindString(s.files(t)[name]) }
	before := line()
	f, data, err := OpenFile(s.Store, s.keys.Identities, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Set([]string{"token"}, "yet another"); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(s.Store, s.keys.Identities, f, data); err != nil {
		t.Fatal(err)
	}
	if before == "" || line() != before {
		t.Errorf("%q became %q", before, line())
	}
}

// A Secret is encrypted where Kubernetes keeps its values, and nowhere else.
func TestSecretsAreNotExposed(t *testing.T) {
	s := newStand(t, "site-a")
	s.init(t)
	rules, err := LoadRules(s.Store)
	if err != nil {
		t.Fatal(err)
	}
	name := clusters + "/site-a/secrets/app.sops.yaml"
	rule, err := rules.For(name)
	if err != nil {
		t.Fatal(err)
	}
	const head = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\n"
	for plain, refused := range map[string]bool{
		head + "stringData:\n  a: canary\n":                           false,
		head + "stringdata:\n  a: canary\n":                           true,
		head + "stringData:\n  a: canary\nstringdata:\n  b: canary\n": true,
		head: true,
		head + "stringData:\n  a: canary\n---\n" + head + "dat:\n  a: canary\n": true,
		head + "data:\n  a: canary\n---\n" + head:                               false,
	} {
		f, err := NewFile(name, []byte(plain), rule)
		if err == nil {
			err = WriteFile(s.Store, s.keys.Identities, f, nil)
		}
		if (err != nil) != refused {
			t.Errorf("%q: %v", plain, err)
		}
		if err == nil {
			s.whole(t)
			s.remove(t, name)
		} else if strings.Contains(err.Error(), "canary") {
			t.Error(err)
		}
	}
}

func TestParsePath(t *testing.T) {
	for text, want := range map[string][]string{
		"a":                 {"a"},
		"stringData/ca.crt": {"stringData", "ca.crt"},
		"/a/b":              {"a", "b"},
		`["a"]["b.c/d"][0]`: {"a", "b.c/d", "0"},
		`['a']["quote\"d"]`: {"a", `quote"d`},
		"":                  nil, "/": nil, "a//b": nil, "a/": nil, `["a"`: nil, `["a"]x`: nil, `[a]`: nil, `[]`: nil, `["\x"]`: nil,
	} {
		got, err := ParsePath(text)
		if (err == nil) != (want != nil) || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// No file, however broken, makes a panic or an error that repeats it.
func FuzzOpenFile(f *testing.F) {
	identity, recipient, err := NewIdentity()
	if err != nil {
		f.Fatal(err)
	}
	encrypted, err := EncryptManifest([]byte("kind: Secret\nstringData:\n  a: canary\n"), recipient)
	if err != nil {
		f.Fatal(err)
	}
	keys, err := ParseIdentities(identity)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encrypted, "x.sops.yaml")
	f.Add([]byte("sops: {}"), "x.sops.yaml")
	f.Add([]byte("sops:\n  mac: ENC[x]\n  age: []\n  lastmodified: \"2026-11-24T12:00:00Z\"\n"), "x.sops.yaml")
	f.Add([]byte(`{"sops": {"age": null}}`), "x.sops.json")
	f.Add([]byte("a=b\nsops_mac=ENC[x]\n"), "x.sops.env")
	f.Add([]byte("[sops]\nmac=ENC[x]\n"), "x.sops.ini")
	f.Add([]byte("\xff\x00"), "x.sops.bin")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		file, err := ParseFile(name, data)
		if err != nil {
			return
		}
		_ = file.Names()
		_ = file.Recipients()
		_ = file.Readable("metadata", "name")
		if file.Open(keys) == nil {
			if _, err := file.Plain(); err != nil {
				t.Log(err)
			}
		}
	})
}

func FuzzParsePath(f *testing.F) {
	f.Add(`["a"]["b"][0]`)
	f.Add("a/b/c")
	f.Fuzz(func(t *testing.T, text string) {
		if path, err := ParsePath(text); err == nil && len(path) == 0 {
			t.Errorf("%q is no place", text)
		}
	})
}
