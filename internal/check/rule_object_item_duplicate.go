package check

import (
	"archipel/internal/finding"
	"archipel/internal/schema"
)

func objectItemDuplicate() Rule {
	return Rule{
		ID: "object-item-duplicate", Group: Kubernetes, Severity: finding.Error,
		Security: true, Covers: []string{"kube-linter duplicate-env-var"},
		Summary: "A list of an object has two entries with one key: two containers, ports or variables of one name.",
		Reason: "Such a list is merged by the key. The API server refuses the two, or keeps one of them, and which one depends on who applies " +
			"(https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy).",
		Bad: inWhoami(podExample("registry.example.org/example:1.0.0") + `      env:
        - name: COLOUR
          value: blue
        - name: COLOUR
          value: red
`),
		Good: inWhoami(podExample("registry.example.org/example:1.0.0") + `      env:
        - name: COLOUR
          value: blue
`),
		Site: refused(schema.DuplicateItem),
	}
}
