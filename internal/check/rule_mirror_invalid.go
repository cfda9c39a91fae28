package check

import "archipel/internal/finding"

func mirrorInvalid() Rule {
	return Rule{
		ID: "mirror-invalid", Group: Policy, Severity: finding.Error,
		Summary: "A mirror of archipel.yaml is no https URL, or holds credentials.",
		Reason:  "Charts are fetched over TLS, and credentials come from the docker config: the repository is no place for them.",
		Bad:     overlay("archipel.yaml", "mirrors:\n  helm.cilium.io: [\"http://mirror.example.org\"]\n"),
		Good:    overlay("archipel.yaml", "mirrors:\n  helm.cilium.io: [\"https://mirror.example.org\"]\n"),
	}
}
