package check

import (
	"archipel/internal/finding"
)

func serviceAccountFieldDeprecated() Rule {
	return Rule{
		ID: "service-account-field-deprecated", Group: Workloads, Severity: finding.Warning,
		Summary: "A pod names its service account in the field serviceAccount alone.",
		Reason: "The field is an old name of serviceAccountName, which wins where both stand; programs that read manifests look at the new one " +
			"(https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#PodSpec).",
		Bad:    podFieldsExample("serviceAccount: default\n"),
		Good:   podFieldsExample("serviceAccountName: default\n"),
		Covers: []string{"kube-linter deprecated-service-account-field"},
		Site: eachPod(func(_ *Site, w *workload) *flaw {
			if old := textAt(w.spec, "serviceAccount"); old == "" || old == textAt(w.spec, "serviceAccountName") {
				return nil
			}
			return &flaw{[]string{"serviceAccount"}, "write serviceAccountName", "names its service account in the deprecated field serviceAccount"}
		}),
	}
}
