package check

import (
	"archipel/internal/finding"
)

func namespacePodSecurity() Rule {
	return Rule{
		ID: "namespace-pod-security", Group: Cluster, Severity: finding.Warning,
		Summary: "A namespace takes pods with more rights than any of its pods has.",
		Reason: "What its pods satisfy today, the namespace can demand of those that come tomorrow: then a pod that somebody brings in gets no host, no root and no privilege. Without a label the default " +
			"of the API server counts, which is privileged unless k3s is told otherwise (https://kubernetes.io/docs/concepts/security/pod-security-standards/, " +
			"https://kubernetes.io/docs/tasks/configure-pod-container/enforce-standards-namespace-labels/; CIS 5.2).",
		Bad:  namespaceExample("app: whoami"),
		Good: namespaceExample("pod-security.kubernetes.io/enforce: restricted"),
		Site: func(s *Site) []finding.Finding {
			judge := s.standards()
			var found []finding.Finding
			for _, o := range s.kinds("", "Namespace") {
				pods := s.podsIn(o.GetName())
				could, known := judge.strictest(pods)
				if !known || len(pods) == 0 {
					continue
				}
				level, labelled := o.GetLabels()[podSecurityLabel]
				at := []string{"metadata", "labels", podSecurityLabel}
				fix := "set the label " + podSecurityLabel + ": " + string(could)
				switch {
				case !labelled:
					found = append(found, s.concern(o, "", at, fix, "%s has no label %s, and its pods satisfy %s", named(o), podSecurityLabel, could))
				case strictness(level) < 0:
					found = append(found, s.concern(o, "", at, fix, "%s has the Pod Security level %s, which there is none of", named(o), level))
				case strictness(level) < strictness(string(could)):
					found = append(found, s.concern(o, "", at, fix, "%s takes pods that are %s, though its own satisfy %s", named(o), level, could))
				}
			}
			return found
		},
	}
}
