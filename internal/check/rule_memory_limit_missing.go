package check

import (
	"archipel/internal/finding"
)

func memoryLimitMissing() Rule {
	return Rule{
		ID: "memory-limit-missing", Group: Workloads, Severity: finding.Warning,
		Summary: "A container may take all memory of its node.",
		Reason: "A leak, or whoever makes it grow, takes down the pods beside it and at last the node (https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/). " +
			"A limit of CPU is not asked for: requests share the CPU out fairly, and a limit slows a container down where the node has CPU to spare.",
		Bad:    containerExample("resources:\n  requests:\n    memory: 16Mi\n"),
		Good:   containerExample("resources:\n  limits:\n    memory: 32Mi\n"),
		Covers: []string{"kube-linter unset-memory-requirements", "trivy KSV-0018"},
		Site: eachContainer(func(w *workload, c *container) *flaw {
			if c.first || valueAt(c.spec, "resources", "limits", "memory") != nil || valueAt(w.spec, "resources", "limits", "memory") != nil {
				return nil
			}
			return &flaw{[]string{"resources", "limits", "memory"}, "set resources.limits.memory", "has no limit of memory"}
		}),
	}
}
