package render

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"archipel/internal/secret"
)

const canary = "canary-of-a-secret-value"

// sealedSecret is a manifest of a Secret as SOPS encrypts it.
func sealedSecret(t *testing.T, name, recipient string) string {
	t.Helper()
	data, err := secret.EncryptManifest([]byte("apiVersion: v1\nkind: Secret\nmetadata: {name: "+name+", namespace: flux-system}\nstringData: {token: "+canary+"}\n"), recipient)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// secretTree is a site whose Secrets give variables, stand for themselves and go
// through a generator.
func secretTree(t *testing.T, recipient string) fstest.MapFS {
	kustomization := func(name string) string {
		return "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: " + name + ", namespace: flux-system}\n" +
			"spec:\n  path: " + name + "\n  sourceRef: {kind: GitRepository, name: flux-system}\n  decryption: {provider: sops}\n"
	}
	return fstest.MapFS{
		"entry/ks.yaml":          content(kustomization("vars") + "---\n" + kustomization("app") + "  postBuild: {substituteFrom: [{kind: Secret, name: vars}]}\n"),
		"vars/secret.sops.yaml":  content(sealedSecret(t, "vars", recipient)),
		"app/kustomization.yaml": content("resources: [config.yaml]\nsecretGenerator: [{name: generated, namespace: default, files: [inner.yaml]}]\n"),
		"app/inner.yaml":         content(sealedSecret(t, "inner", recipient)),
		"app/config.yaml":        content("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config, namespace: default}\ndata: {a: 'x ${token}'}\n"),
	}
}

func TestSecrets(t *testing.T) {
	identity, recipient, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := secret.ParseIdentities(identity)
	if err != nil {
		t.Fatal(err)
	}
	kept := t.TempDir()
	result, err := New(Config{FS: secretTree(t, recipient), Identities: keys, Results: kept}).Path(t.Context(), "entry")
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Findings)+len(result.Skipped) > 0 {
		t.Fatalf("got %v %v", result.Findings, result.Skipped)
	}
	held := 0
	for _, o := range result.Objects {
		text := string(YAML(o.Object))
		encoded, _ := at(o.Object, "data", "token").(string)
		inner, _ := at(o.Object, "data", "inner.yaml").(string)
		decoded, _ := base64.StdEncoding.DecodeString(encoded + inner)
		if strings.Contains(text+string(decoded), canary) {
			held++
		}
		if strings.Contains(text+string(decoded), "ENC[") || at(o.Object, "sops") != nil || o.Origin.Opaque {
			t.Errorf("%s is still encrypted", o.name())
		}
		masked, _ := result.Masked(o)
		if shown := string(YAML(masked)); strings.Contains(shown, canary) || encoded != "" && strings.Contains(shown, encoded) {
			t.Errorf("%s shows its value:\n%s", o.name(), shown)
		}
	}
	if held != 3 {
		t.Errorf("the value stands in %d objects, want the Secret, the generated one and the ConfigMap", held)
	}
	if !result.Secret("x "+canary) || result.Secret("something else") {
		t.Error("the result does not know what came out of a Secret")
	}
	for _, k := range result.Kustomizations {
		for name, value := range k.Variables {
			if value == canary {
				t.Errorf("%s shows the variable %s", k.Name, name)
			}
		}
	}
	err = filepath.WalkDir(kept, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		for _, value := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))} {
			if strings.Contains(string(data), value) {
				t.Errorf("the value is kept in %s", name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSecretsWithoutTheKey(t *testing.T) {
	_, recipient, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	result, err := New(Config{FS: secretTree(t, recipient)}).Path(t.Context(), "entry")
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Findings) > 0 {
		t.Errorf("got %v", result.Findings)
	}
	var opaque []string
	for _, o := range result.Objects {
		if o.Origin.Opaque {
			opaque = append(opaque, o.GetKind())
		}
	}
	if strings.Join(opaque, " ") != "ConfigMap Secret Secret" {
		t.Errorf("opaque are %v", opaque)
	}
	for _, s := range result.Skipped {
		if s.Code != "secret-undecryptable" {
			t.Errorf("skipped %v", s)
		}
	}
}

func TestSecretAltered(t *testing.T) {
	identity, recipient, err := secret.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := secret.ParseIdentities(identity)
	if err != nil {
		t.Fatal(err)
	}
	files := secretTree(t, recipient)
	for _, name := range []string{"vars/secret.sops.yaml", "app/inner.yaml"} {
		files[name] = content(strings.Replace(string(files[name].Data), "kind: Secret", "kind: Secret\nimmutable: true", 1))
	}
	result, err := New(Config{FS: files, Identities: keys}).Path(t.Context(), "entry")
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Findings) != 2 || result.Findings[0].Rule != "secret-altered" || result.Findings[1].Rule != "secret-altered" {
		t.Errorf("got %+v", result.Findings)
	}
}
