package secret_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"archipel/internal/fleet"
	"archipel/internal/secret"

	"github.com/getsops/sops/v3/decrypt"
	"go.yaml.in/yaml/v3"
)

// sopsProgram returns the path of the real program.
func sopsProgram(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("ARCHIPEL_SOPS"); path != "" {
		return path
	}
	path, err := exec.LookPath("sops")
	if err != nil {
		t.Skip("the program sops is not in PATH; `make programs` builds it, and ARCHIPEL_SOPS says where it is")
	}
	return path
}

// sops runs the program in a folder of its own with no setting of the user.
func sops(t *testing.T, program, identity string, args ...string) ([]byte, error) {
	t.Helper()
	home := t.TempDir()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = []string{"SOPS_AGE_KEY=" + identity, "HOME=" + home, "XDG_CONFIG_HOME=" + home, "PATH=" + os.Getenv("PATH")}
	command.Dir = home
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Logf("sops %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out, err
}

func TestManifestOpensWithTheProgram(t *testing.T) {
	program := sopsProgram(t)
	identity, recipient, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := secret.EncryptManifest([]byte(manifest), recipient)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "canary.sops.yaml")
	if err := os.WriteFile(file, encrypted, 0o600); err != nil {
		t.Fatal(err)
	}
	plain, err := sops(t, program, identity, "decrypt", file)
	if err != nil {
		t.Fatal(err)
	}
	same(t, plain, []byte(manifest))

	// An administrator edits a value and rotates the data key; both must find all that they need.
	if _, err := sops(t, program, identity, "set", file, `["stringData"]["password"]`, `"another"`); err != nil {
		t.Fatal(err)
	}
	if _, err := sops(t, program, identity, "rotate", "--in-place", file); err != nil {
		t.Fatal(err)
	}
	plain, err = sops(t, program, identity, "decrypt", "--extract", `["stringData"]["password"]`, file)
	if err != nil || string(plain) != "another" {
		t.Fatalf("got %q, %v", plain, err)
	}
	edited, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(edited, []byte("another")) || !bytes.Contains(edited, []byte("name: canary")) {
		t.Errorf("after the edit other fields are encrypted:\n%s", edited)
	}

	other, _, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := sops(t, program, other, "decrypt", file); err == nil {
		t.Fatalf("another identity opens it: %s", plain)
	}
}

// same compares two YAML documents by what they say.
func same(t *testing.T, got, want []byte) {
	t.Helper()
	var a, b any
	if err := yaml.Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(want, &b); err != nil {
		t.Fatal(err)
	}
	first, _ := yaml.Marshal(a)
	second, _ := yaml.Marshal(b)
	if !bytes.Equal(first, second) {
		t.Errorf("got\n%s\nwant\n%s", first, second)
	}
}

// Values that are hard to keep: what goes in comes out, and stands nowhere in between.
func TestManifestKeepsValues(t *testing.T) {
	identity, recipient, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOPS_AGE_KEY", identity)
	for name, value := range map[string]string{
		"lines":       "-----BEGIN canary-----\nAAAA\n-----END canary-----\n",
		"no line end": "first canary\nsecond canary",
		"number":      "0123456789",
		"boolean":     "yes canary"[:3],
		"unicode":     "canary ✓ é",
		"quotes":      `canary "'\ #: {}`,
		"long":        strings.Repeat("canary", 20000),
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := yaml.Marshal(map[string]any{
				"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "x", "namespace": "y"},
				"type":       "Opaque",
				"data":       map[string]string{"encoded": base64.StdEncoding.EncodeToString([]byte(value))},
				"stringData": map[string]string{"plain": value},
			})
			if err != nil {
				t.Fatal(err)
			}
			encrypted, err := secret.EncryptManifest(plain, recipient)
			if err != nil {
				t.Fatal(err)
			}
			if len(value) > 3 && bytes.Contains(encrypted, []byte(value)) || bytes.Contains(encrypted, []byte("canary")) {
				t.Error("the value stands in the encrypted file")
			}
			if bytes.Contains(encrypted, []byte(base64.StdEncoding.EncodeToString([]byte(value)))) {
				t.Error("the encoded value stands in the encrypted file")
			}
			opened, err := decrypt.Data(encrypted, "yaml")
			if err != nil {
				t.Fatal(err)
			}
			same(t, opened, plain)
		})
	}
}

// kustomize-controller reads these fields before it decrypts.
func TestManifestStaysReadable(t *testing.T) {
	_, recipient, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := secret.EncryptManifest([]byte(manifest+"type: Opaque\n"), recipient)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		APIVersion, Kind, Type string
		Metadata               map[string]string
		StringData             map[string]string `yaml:"stringData"`
		SOPS                   struct {
			Age            []struct{ Recipient, Enc string }
			EncryptedRegex string `yaml:"encrypted_regex"`
			MAC            string
			Version        string
			LastModified   string `yaml:"lastmodified"`
		}
	}
	var raw struct {
		APIVersion string `yaml:"apiVersion"`
	}
	if err := yaml.Unmarshal(encrypted, &file); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(encrypted, &raw); err != nil {
		t.Fatal(err)
	}
	if raw.APIVersion != "v1" || file.Kind != "Secret" || file.Type != "Opaque" || file.Metadata["name"] != "canary" {
		t.Errorf("got %+v", file)
	}
	if !strings.HasPrefix(file.StringData["password"], "ENC[AES256_GCM,") {
		t.Errorf("password is %q", file.StringData["password"])
	}
	if len(file.SOPS.Age) != 1 || file.SOPS.Age[0].Recipient != recipient || file.SOPS.EncryptedRegex != secret.ManifestFields {
		t.Errorf("got %+v", file.SOPS)
	}
	if modified, err := time.Parse(time.RFC3339, file.SOPS.LastModified); err != nil || time.Since(modified) > time.Minute {
		t.Errorf("lastmodified is %q", file.SOPS.LastModified)
	}
}

// Keys are rotated by encrypting for the old and the new identity.
func TestManifestForSeveral(t *testing.T) {
	var identities, recipients []string
	for range 3 {
		identity, recipient, err := secret.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		identities, recipients = append(identities, identity), append(recipients, recipient)
	}
	encrypted, err := secret.EncryptManifest([]byte(manifest), recipients[:2]...)
	if err != nil {
		t.Fatal(err)
	}
	for i, identity := range identities {
		t.Setenv("SOPS_AGE_KEY", identity)
		_, err := decrypt.Data(encrypted, "yaml")
		if opens := err == nil; opens != (i < 2) {
			t.Errorf("identity %d: %v", i, err)
		}
	}
}

// No error may repeat what it could not read or encrypt.
func TestErrorsKeepTheSecret(t *testing.T) {
	const canary = "canary-value"
	identity, recipient, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() error{
		"broken YAML":   encrypts("a: ["+canary, recipient),
		"tab":           encrypts("stringData:\n\tpassword: "+canary, recipient),
		"anchor":        encrypts("stringData: *"+canary, recipient),
		"a list":        encrypts("- "+canary, recipient),
		"a text":        encrypts(canary, recipient),
		"nothing":       encrypts("", recipient),
		"two documents": encrypts(manifest+"---\n"+manifest, recipient),
		"twice": func() error {
			once, err := secret.EncryptManifest([]byte(manifest), recipient)
			if err != nil {
				t.Fatal(err)
			}
			return encrypts(string(once), recipient)()
		},
		"no recipient":                  encrypts(manifest),
		"identity given as a recipient": encrypts(manifest, identity),
		"broken identity": func() error {
			_, err := secret.RecipientOf(identity[:len(identity)-1] + otherThan(identity[len(identity)-1]))
			return err
		},
		"something else as an identity": func() error {
			_, err := secret.RecipientOf(canary)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := try()
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), identity[20:40]) {
				t.Errorf("the error repeats the secret: %v", err)
			}
		})
	}
}

// otherThan is a character of an identity's alphabet that is not last: a checksum finds any
// single changed character, but a character "changed" to itself is no change, once in 32 runs.
func otherThan(last byte) string {
	if last == 'Q' {
		return "P"
	}
	return "Q"
}

func encrypts(manifest string, recipients ...string) func() error {
	return func() error {
		_, err := secret.EncryptManifest([]byte(manifest), recipients...)
		return err
	}
}

func TestNewToken(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		token := secret.NewToken()
		if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(token) || seen[token] {
			t.Fatalf("token %q", token)
		}
		seen[token] = true
	}
}

// ageProgram returns the path of the real program age; age-keygen stands beside it.
func ageProgram(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("ARCHIPEL_AGE"); path != "" {
		return path
	}
	path, err := exec.LookPath("age")
	if err != nil {
		t.Skip("the program age is not in PATH; `make programs` builds it, and ARCHIPEL_AGE says where it is")
	}
	return path
}

// newRepository makes a fleet of one site and its secrets, with an identity that
// the real age-keygen has made.
func newRepository(t *testing.T) (dir, identity string, store *secret.Store, keys *secret.Keyring) {
	t.Helper()
	keygen := filepath.Join(filepath.Dir(ageProgram(t)), "age-keygen")
	file := filepath.Join(t.TempDir(), "keys.txt")
	if out, err := exec.CommandContext(t.Context(), keygen, "-o", file).CombinedOutput(); err != nil {
		t.Fatalf("age-keygen: %v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	identity = lines[len(lines)-1]
	keys, err = secret.LoadKeyring(func(name string) string {
		return map[string]string{"SOPS_AGE_KEY_FILE": file}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if store, err = secret.OpenStore(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	f := &fleet.Fleet{Sites: []*fleet.Site{{Name: "site-a", Gateways: []string{"site-a-server-1"}, Facts: fleet.Facts{GitURL: "ssh://git@git.example.org/x.git", Interconnect: "wireguard"}}}}
	err = secret.Init(store, f, keys, secret.InitOptions{
		Operator: "ann", Now: time.Now(), Say: func(string) {},
		KnownHosts: func(host string) (string, error) { return host + " ssh-ed25519 AAAA\n", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, identity, store, keys
}

// The program sops reads, changes and makes files with our .sops.yaml, and we
// read what it wrote.
func TestRepositoryWorksWithTheProgram(t *testing.T) {
	program := sopsProgram(t)
	dir, identity, store, keys := newRepository(t)
	in := func(args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), program, args...)
		command.Env = []string{"SOPS_AGE_KEY=" + identity, "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
		command.Dir = dir
		var stderr bytes.Buffer
		command.Stderr = &stderr
		out, err := command.Output()
		if err != nil {
			t.Fatalf("sops %s: %v\n%s", strings.Join(args, " "), err, &stderr)
		}
		return string(out)
	}
	get := func(name string, path ...string) string {
		t.Helper()
		f, _, err := secret.OpenFile(store, keys.Identities, name)
		if err != nil {
			t.Fatal(err)
		}
		value, err := f.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	variables, flux := secret.AnsibleFile("site-a"), secret.FluxFile("site-a", "flux-system")
	if token := get(variables, "k3s_server_token"); in("decrypt", "--extract", `["k3s_server_token"]`, variables) != token {
		t.Error("sops reads another token")
	}
	in("set", variables, `["k3s_server_token"]`, `"of sops"`)
	if got := get(variables, "k3s_server_token"); got != "of sops" {
		t.Errorf("got %q", got)
	}
	for _, name := range []string{variables, flux} {
		before := get(name, strings.Split(map[bool]string{true: "k3s_agent_token", false: "stringData/identity"}[name == variables], "/")...)
		in("rotate", "--in-place", name)
		in("updatekeys", "--yes", name)
		if after := get(name, strings.Split(map[bool]string{true: "k3s_agent_token", false: "stringData/identity"}[name == variables], "/")...); after != before {
			t.Errorf("%s: the value has changed", name)
		}
	}

	// What sops makes by our rules is what we would make.
	made := secret.FluxFile("site-a", "made")
	if err := os.WriteFile(filepath.Join(dir, made), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	in("encrypt", "--in-place", made)
	if got := get(made, "stringData", "password"); got != "canary-value" {
		t.Errorf("got %q", got)
	}
	rules, err := secret.LoadRules(store)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{variables, flux, made} {
		rule, err := rules.For(name)
		if err != nil {
			t.Fatal(err)
		}
		f, _, err := secret.OpenFile(store, keys.Identities, name)
		if err != nil {
			t.Fatal(err)
		}
		if !rule.Follows(f) || strings.Join(f.Recipients(), " ") != strings.Join(rule.Recipients(), " ") {
			t.Errorf("%s does not follow its rule", name)
		}
	}

	// An edit of ours and an edit of theirs leave a file in the same form.
	data, err := os.ReadFile(filepath.Join(dir, flux))
	if err != nil {
		t.Fatal(err)
	}
	f, before, err := secret.OpenFile(store, keys.Identities, flux)
	if err != nil {
		t.Fatal(err)
	}
	if err := secret.WriteFile(store, keys.Identities, f, before); err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile(filepath.Join(dir, flux))
	if err != nil {
		t.Fatal(err)
	}
	form := func(text []byte) string {
		return regexp.MustCompile(`lastmodified: .*|mac: .*`).ReplaceAllString(string(text), "")
	}
	if form(data) != form(ours) {
		t.Errorf("sops wrote\n%s\nwe wrote\n%s", data, ours)
	}
}

// The data key is an age file that the program age opens.
func TestDataKeyOpensWithTheProgram(t *testing.T) {
	age := ageProgram(t)
	dir, identity, _, _ := newRepository(t)
	data, err := os.ReadFile(filepath.Join(dir, secret.AnsibleFile("site-a")))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		SOPS struct{ Age []struct{ Enc string } }
	}
	if err := yaml.Unmarshal(data, &file); err != nil || len(file.SOPS.Age) != 1 {
		t.Fatalf("%d recipients, %v", len(file.SOPS.Age), err)
	}
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(identity+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), age, "--decrypt", "--identity", keys)
	command.Stdin = strings.NewReader(file.SOPS.Age[0].Enc)
	out, err := command.Output()
	if err != nil || len(out) != 32 {
		t.Errorf("got %d bytes, %v", len(out), err)
	}
}
