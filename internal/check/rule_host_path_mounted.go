package check

import (
	"strings"

	"archipel/internal/finding"
)

func hostPathMounted() Rule {
	return Rule{
		ID: "host-path-mounted", Group: Workloads, Severity: finding.Warning,
		Summary: "A pod reads folders of its node.",
		Reason: "It depends on what the node happens to hold, and sees what is not meant for it; even the baseline Pod Security Standard forbids it " +
			"(https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline). What it can write to, and what decides over the node, have rules of their own.",
		Bad:    hostPathExample("/srv/data"),
		Good:   deploymentExample("", "volumes:\n  - name: files\n    emptyDir: {}\n", "volumeMounts:\n  - name: files\n    mountPath: /files\n"),
		Covers: []string{"trivy KSV-0023"},
		Site: eachPod(func(_ *Site, w *workload) *flaw {
			var read []string
			var first string
			for _, h := range w.hostPaths() {
				if h.class() == plainPath && !w.writes(h) {
					if read = append(read, h.path); first == "" {
						first = h.index
					}
				}
			}
			if read == nil {
				return nil
			}
			return &flaw{[]string{"volumes", first}, "use a volume of its own, a ConfigMap or a Secret", "reads the node's " + strings.Join(read, ", ")}
		}),
	}
}
