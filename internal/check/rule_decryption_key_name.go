package check

import (
	"maps"
	"slices"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func decryptionKeyName() Rule {
	return Rule{
		ID: "decryption-key-name", Group: Flux, Severity: finding.Error,
		Summary: "The Secret with the decryption keys has no key whose name Flux looks at.",
		Reason: "kustomize-controller takes the keys of the Secret by their endings: .agekey for age, .asc for OpenPGP, and sops.* for clouds. An age key under another name is passed over in " +
			"silence, and nothing can be decrypted (https://fluxcd.io/flux/components/kustomize/kustomizations/#decryption-secret-reference; fluxcd/flux2#5154).",
		Bad:  inWhoami(decryptionSecretExample("identity.txt")),
		Good: inWhoami(decryptionSecretExample("identity.agekey")),
		Site: func(s *Site) []finding.Finding {
			secrets := map[string]*render.Object{}
			for _, o := range s.kinds("", "Secret") {
				secrets[reference(o.GetNamespace(), o.GetName())] = o
			}
			var found []finding.Finding
			seen := map[*render.Object]bool{}
			for _, k := range s.kinds(kustomizeAPI, "Kustomization") {
				o := secrets[reference(k.GetNamespace(), textAt(k.Object, "spec", "decryption", "secretRef", "name"))]
				if o == nil || seen[o] {
					continue
				}
				seen[o] = true
				keys := slices.Concat(slices.Collect(maps.Keys(mapAt(o.Object, "data"))), slices.Collect(maps.Keys(mapAt(o.Object, "stringData"))))
				if !slices.ContainsFunc(keys, func(key string) bool {
					return strings.HasSuffix(key, ".agekey") || strings.HasSuffix(key, ".asc") || strings.HasPrefix(key, "sops.")
				}) {
					f := problem(s.At(o, "metadata", "name"), "name the key with the ending .agekey", "%s decrypts, but has no key that ends in .agekey", named(o))
					f.Secret = true
					found = append(found, f)
				}
			}
			return found
		},
	}
}

func decryptionSecretExample(key string) string {
	return `
apiVersion: v1
kind: Secret
metadata:
  name: sops-age
  namespace: flux-system
stringData:
  ` + key + `: the key
`
}
