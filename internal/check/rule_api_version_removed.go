package check

import (
	"archipel/internal/finding"
	"archipel/internal/schema"
)

func apiVersionRemoved() Rule {
	return Rule{
		ID: "api-version-removed", Group: Kubernetes, Severity: finding.Error,
		Security: true, Covers: []string{"kube-linter no-extensions-v1beta", "trivy KSV-0107"},
		Summary: "An object has an API version that the site's Kubernetes no longer has.",
		Reason: "The API server refuses the object, and Flux everything in the same Kustomization. Helm fails over a release that holds such an object, even to remove it " +
			"(https://kubernetes.io/docs/reference/using-api/deprecation-guide/).",
		Bad:  inWhoami(budgetExample("policy/v1beta1")),
		Good: inWhoami(budgetExample("policy/v1")),
		Site: refused(schema.RemovedAPI),
	}
}

func budgetExample(version string) string {
	return `
apiVersion: ` + version + `
kind: PodDisruptionBudget
metadata:
  name: example
  namespace: whoami
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: whoami
`
}
