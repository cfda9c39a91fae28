package check

import (
	"strconv"

	"archipel/internal/finding"
)

func secretFromEnvironment() Rule {
	return Rule{
		ID: "secret-from-environment", Group: Workloads, Severity: finding.Warning,
		Summary: "A container reads a Secret from its environment.",
		Reason: "The environment goes to every child process, into crash dumps and often into logs, and does not change when the Secret does; a mounted file is read by the one that needs it " +
			"(CIS Kubernetes Benchmark 5.4.1, https://kubernetes.io/docs/concepts/security/secrets-good-practices/).",
		Bad:    containerExample("env:\n  - name: PASSWORD\n    valueFrom:\n      secretKeyRef:\n        name: example\n        key: password\n"),
		Good:   deploymentExample("", "volumes:\n  - name: password\n    secret:\n      secretName: example\n", "volumeMounts:\n  - name: password\n    mountPath: /run/secrets/example\n    readOnly: true\n"),
		Covers: []string{"kube-linter read-secret-from-env-var"},
		Site: eachContainer(func(_ *workload, c *container) *flaw {
			for i, variable := range listAt(c.spec, "env") {
				if secret := textAt(variable, "valueFrom", "secretKeyRef", "name"); secret != "" {
					return &flaw{[]string{"env", strconv.Itoa(i)}, "mount the Secret as a file", "reads Secret " + secret + " from its environment"}
				}
			}
			for i, from := range listAt(c.spec, "envFrom") {
				if secret := textAt(from, "secretRef", "name"); secret != "" {
					return &flaw{[]string{"envFrom", strconv.Itoa(i)}, "mount the Secret as a file", "reads Secret " + secret + " from its environment"}
				}
			}
			return nil
		}),
	}
}
