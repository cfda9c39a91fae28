package check

import (
	"slices"

	"archipel/internal/finding"
	"archipel/internal/render"
)

func serviceAccountMissing() Rule {
	return Rule{
		ID: "service-account-missing", Group: Workloads, Severity: finding.Error,
		Summary: "A pod runs as a service account that nothing declares.",
		Reason: "Its pods are not made: the admission of the API server refuses them until the account is there " +
			"(https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#serviceaccount-admission-controller).",
		Bad:    podFieldsExample("serviceAccountName: example\nautomountServiceAccountToken: false\n"),
		Good:   podFieldsExample("serviceAccountName: default\nautomountServiceAccountToken: false\n"),
		Covers: []string{"kube-linter non-existent-service-account"},
		Site: eachPod(func(s *Site, w *workload) *flaw {
			account := w.account()
			if account.name == "default" || s.operated(w.Object) && w.Origin.Release == nil ||
				slices.ContainsFunc(s.kinds("", "ServiceAccount"), func(o *render.Object) bool {
					return o.GetName() == account.name && o.GetNamespace() == account.namespace
				}) {
				return nil
			}
			return &flaw{[]string{"serviceAccountName"}, "declare the ServiceAccount, or correct its name", "runs as ServiceAccount " + account.String() + ", which nothing declares"}
		}),
	}
}
