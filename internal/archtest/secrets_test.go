package archtest

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// keyMaterial matches the private keys of age and those in PEM. A test that
// needs such a text builds it from parts.
var keyMaterial = regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]{20}|-----BEGIN [A-Z ]*PRIVATE KEY-----`)

func TestNoKeyMaterial(t *testing.T) {
	for _, name := range treeFiles(t) {
		if at := keyMaterial.FindStringIndex(readTree(t, name)); at != nil {
			t.Errorf("%s holds a private key at byte %d: whoever can read the repository has it; replace the key, then remove it", name, at[0])
		}
	}
}

func TestSecretsAreEncrypted(t *testing.T) {
	for _, name := range treeFiles(t) {
		base := path.Base(name)
		encrypted := base != ".sops.yaml" && base != ".sops.yml" && (strings.HasSuffix(base, ".sops.yaml") || strings.HasSuffix(base, ".sops.yml"))
		switch text := readTree(t, name); {
		case encrypted:
			if problem := notEncrypted(text); problem != "" {
				t.Errorf("%s: %s: encrypt it before it is committed", name, problem)
			}
		case under(name, "kubernetes") && plainSecret(text):
			t.Errorf("%s holds a Secret in plain text: give the file a name that ends in .sops.yaml and encrypt it", name)
		}
	}
}

// notEncrypted says in what a file differs from one that SOPS encrypted; it is
// empty when there is nothing. Of a Secret only data and stringData are
// encrypted, because Flux reads the rest.
func notEncrypted(text string) string {
	for document := range strings.SplitSeq("\n"+text, "\n---") {
		var content map[string]any
		if err := yaml.Unmarshal([]byte(document), &content); err != nil {
			return "it is not YAML: " + err.Error()
		}
		if len(content) == 0 {
			continue
		}
		sops, _ := content["sops"].(map[string]any)
		if mac, _ := sops["mac"].(string); !strings.HasPrefix(mac, "ENC[") {
			return "SOPS has not encrypted it"
		}
		for key, value := range content {
			secret := key == "data" || key == "stringData" || content["kind"] == nil && key != "sops"
			if secret && !allEncrypted(value) {
				return key + " holds a value that is not encrypted"
			}
		}
	}
	return ""
}

func allEncrypted(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for _, one := range v {
			if !allEncrypted(one) {
				return false
			}
		}
		return true
	case []any:
		for _, one := range v {
			if !allEncrypted(one) {
				return false
			}
		}
		return true
	case string:
		return v == "" || strings.HasPrefix(v, "ENC[")
	}
	return value == nil
}

// These match text, because a chart's template is not YAML.
var (
	secretKind   = regexp.MustCompile(`(?m)^ *kind: *["']?Secret["']?\s*$`)
	secretValues = regexp.MustCompile(`(?m)^ *(data|stringData):`)
)

func plainSecret(text string) bool {
	for document := range strings.SplitSeq(text, "\n---") {
		if secretKind.MatchString(document) && secretValues.MatchString(document) {
			return true
		}
	}
	return false
}

func TestNotEncrypted(t *testing.T) {
	const metadata = "\nsops:\n  mac: ENC[AES256_GCM,data:x]\n"
	for text, encrypted := range map[string]bool{
		"kind: Secret\nstringData:\n  a: ENC[x]" + metadata:                          true,
		"a: ENC[x]\nb: [ENC[y]]" + metadata:                                          false, // a list of text that is not a value of SOPS
		"a: ENC[x]\nb: ['ENC[y]', '']" + metadata:                                    true,
		"kind: Secret\nstringData:\n  a: plain" + metadata:                           false,
		"kind: Secret\nstringData:\n  a: ENC[x]\n":                                   false,
		"kind: Secret\ndata: {a: ENC[x]}" + metadata + "---\nkind: Secret\ndata: {}": false,
		"a: plain" + metadata:                                                        false,
		"a: 7" + metadata:                                                            false,
		"\t":                                                                         false,
	} {
		if problem := notEncrypted(text); (problem == "") != encrypted {
			t.Errorf("%q: %q", text, problem)
		}
	}
}

func TestPlainSecret(t *testing.T) {
	for text, plain := range map[string]bool{
		"kind: Secret\nmetadata: {}\n":                              false,
		"kind: ConfigMap\ndata:\n  a: b\n":                          false,
		"kind: ConfigMap\ndata: {}\n---\nkind: Secret\n":            false,
		"kind: Secret\ndata:\n  a: b\n":                             true,
		"kind: ConfigMap\n---\nstringData:\n  a: b\nkind: Secret":   true,
		"{{ if .Values.x }}\nkind: \"Secret\"\ndata:\n  a: {{ b":    true,
		"items:\n  - a: 1\n    kind: Secret\n    data:\n      a: b": true,
	} {
		if plainSecret(text) != plain {
			t.Errorf("%q", text)
		}
	}
}
