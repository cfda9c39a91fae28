package render

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/secret"
)

// keyring decrypts as kustomize-controller does for a Kustomization with
// spec.decryption.provider sops. A nil keyring decrypts nothing.
type keyring struct{ identities *secret.Identities }

// formatOf tells the format of a file or of a Secret's key by its name.
func formatOf(name string) secret.Format {
	if strings.HasSuffix(name, ".dockerconfigjson") {
		return secret.JSON
	}
	return secret.FormatOf(name)
}

// decryptSources opens the files that Flux decrypts before a build: those of
// secretGenerators, and patches. opaque are those that no identity opens.
func (k *keyring) decryptSources(in *inputs) (replaced map[string][]byte, opaque, altered []string, problem *finding.Finding) {
	if k == nil {
		return nil, nil, nil, nil
	}
	for _, name := range slices.Sorted(maps.Keys(in.secrets)) {
		f := in.tree.files[name]
		if f == nil {
			continue
		}
		data, err := f.content()
		if err != nil {
			continue // the build says so
		}
		format := formatOf(in.secrets[name])
		if !secret.Encrypted(data, format) {
			continue
		}
		plain, intact, err := secret.Decrypt(data, format, format, k.identities)
		switch {
		case errors.Is(err, secret.ErrNoIdentity):
			opaque = append(opaque, name)
			continue
		case err != nil:
			return nil, nil, nil, undecryptable(finding.Position{File: name}, err)
		case !intact:
			altered = append(altered, name)
		}
		if replaced == nil {
			replaced = map[string][]byte{}
		}
		replaced[name] = plain
	}
	return replaced, opaque, altered, nil
}

func undecryptable(at finding.Position, err error) *finding.Finding {
	return &finding.Finding{
		Rule: "decryption-failed", Severity: finding.Error, Position: at, Secret: true,
		Message: "Flux cannot decrypt it: " + line(err), Fix: "encrypt it anew with sops, for the site's age recipient",
	}
}

// isEncrypted says whether SOPS encrypted an object as a whole.
func isEncrypted(object map[string]any) bool {
	metadata, _ := object["sops"].(map[string]any)
	mac, _ := metadata["mac"].(string)
	return mac != ""
}

// disabledBy says whether an annotation or, with labels, a label opts an object out.
func disabledBy(object map[string]any, key string, labels bool) bool {
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	own, _ := metadata["labels"].(map[string]any)
	return annotations[key] == "disabled" || labels && own[key] == "disabled"
}

// decryptObject opens an object after the build. It returns nil when there is
// nothing to open; opaque when no identity does.
func (k *keyring) decryptObject(object map[string]any) (opened map[string]any, opaque bool, err error) {
	if k == nil || disabledBy(object, "kustomize.toolkit.fluxcd.io/decrypt", false) {
		return nil, false, nil
	}
	if isEncrypted(object) {
		data, err := json.Marshal(object)
		if err != nil {
			return nil, false, err
		}
		plain, _, err := secret.Decrypt(data, secret.JSON, secret.JSON, k.identities)
		if errors.Is(err, secret.ErrNoIdentity) {
			return withoutSOPS(object), true, nil
		}
		if err != nil {
			return nil, false, err
		}
		opened, err := decode(plain)
		return opened, false, err
	}
	values, _ := object["data"].(map[string]any)
	if object["kind"] != "Secret" {
		return nil, false, nil
	}
	changed := map[string]any{}
	for key, value := range values {
		text, _ := value.(string)
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			continue // Flux leaves it for the API server to refuse
		}
		for _, in := range []secret.Format{secret.JSON, secret.Dotenv, secret.INI, secret.YAML} {
			if !secret.Encrypted(data, in) {
				continue
			}
			plain, _, err := secret.Decrypt(data, in, formatOf(key), k.identities)
			if errors.Is(err, secret.ErrNoIdentity) {
				opaque = true
				break
			}
			if err != nil {
				return nil, false, err
			}
			changed[key] = base64.StdEncoding.EncodeToString(plain)
			break
		}
	}
	if len(changed) == 0 {
		return nil, opaque, nil
	}
	merged := maps.Clone(values)
	maps.Copy(merged, changed)
	opened = maps.Clone(object)
	opened["data"] = merged
	return opened, opaque, nil
}

// withoutSOPS is an object less what SOPS notes about it, as it would be once decrypted.
func withoutSOPS(object map[string]any) map[string]any {
	left := maps.Clone(object)
	delete(left, "sops")
	return left
}
