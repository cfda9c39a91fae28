package check

import (
	"strings"

	"archipel/internal/finding"
)

func selectorMismatch() Rule {
	return Rule{
		ID: "selector-mismatch", Group: Workloads, Severity: finding.Error,
		Summary: "A workload does not select the pods that it makes.",
		Reason:  "The API server refuses it (https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#selector).",
		Bad:     strings.Replace(containerExample(""), "      app: example\n  template", "      app: other\n  template", 1),
		Good:    containerExample(""),
		Covers:  []string{"kube-linter mismatching-selector"},
		Site: eachWorkload(func(_ *Site, w *workload) *flaw {
			selector := mapAt(w.Object.Object, "spec", "selector")
			if group(w.Object) != "apps" || selector == nil || matches(selector, w.labels) {
				return nil
			}
			return &flaw{[]string{"spec", "selector"}, "select labels of spec.template.metadata.labels", "does not select the pods that it makes"}
		}),
	}
}
