package check

import "archipel/internal/finding"

func fileUnreadable() Rule {
	return Rule{
		ID: "file-unreadable", Group: YAML, Severity: finding.Error, Firm: true,
		Summary: "A file cannot be read, is larger than 1 MiB, or is no regular file.",
		Reason:  "What cannot be read cannot be checked, and Flux cannot apply it: etcd takes no object above 1.5 MiB.",
		Bad:     "link: kubernetes/flux/apps/whoami/app/example.yaml -> gone.yaml\n",
		Good:    overlay("kubernetes/flux/apps/whoami/app/example.yaml", "key: value\n"),
	}
}
