package check

import "archipel/internal/finding"

func yamlTooLarge() Rule {
	return Rule{
		ID: "yaml-too-large", Group: YAML, Severity: finding.Error, Firm: true,
		Summary: "A document nests too deep, or grows too large through its aliases.",
		Reason: "Aliases that repeat aliases make gigabytes out of one kilobyte. archipel, as the API server, refuses such documents " +
			"(https://github.com/kubernetes/kubernetes/issues/83253).",
		Bad:  overlay("kubernetes/flux/apps/whoami/app/example.yaml", "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\ng: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f, *f]\n"),
		Good: overlay("kubernetes/flux/apps/whoami/app/example.yaml", "a: &a [x, x]\nb: [*a, *a]\n"),
	}
}
