package check

import (
	"slices"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func tokenNeedless() Rule {
	return Rule{
		ID: "token-needless", Group: Workloads, Severity: finding.Warning,
		Summary: "A pod gets a token for the API server that no permission goes with.",
		Reason: "Kubernetes mounts the token of the service account unless told not to. Where nothing binds a role to the account, the program cannot mean to use it, and whoever breaks in " +
			"has a way to talk to the API server (https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#opt-out-of-api-credential-automounting, " +
			"CIS Kubernetes Benchmark 5.1.5 and 5.1.6).",
		Bad:    podFieldsExample("serviceAccountName: default\n"),
		Good:   podFieldsExample("automountServiceAccountToken: false\n"),
		Covers: []string{"kube-linter default-service-account", "kube-linter automount-service-account-token", "trivy KSV-0036"},
		Site: func(s *Site) []finding.Finding {
			if slices.ContainsFunc(s.Render.Releases, func(r *render.Release) bool { return !r.Rendered }) {
				return nil // what binds roles may be in what could not be rendered
			}
			bound := s.boundAccounts()
			return eachPod(func(s *Site, w *workload) *flaw {
				account := w.account()
				if valueAt(w.spec, "automountServiceAccountToken") == false || bound[account] ||
					valueAt(w.spec, "automountServiceAccountToken") == nil && s.withoutToken(account) {
					return nil
				}
				return &flaw{[]string{"automountServiceAccountToken"}, "set automountServiceAccountToken to false", "mounts a token of ServiceAccount " + account.String() + ", which no role is bound to"}
			})(s)
		},
	}
}
