package check

import (
	"strconv"

	"archipel/internal/finding"
	"archipel/internal/schema"
)

func objectRuleViolated() Rule {
	return Rule{
		ID: "object-rule-violated", Group: Kubernetes, Severity: finding.Error,
		Summary: "An object breaks a rule (CEL) of its definition.",
		Reason: "Definitions carry rules between fields, which the API server evaluates at every change; it refuses what breaks one " +
			"(https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules).",
		Bad:  inWhoami(celExample(3, 2)),
		Good: inWhoami(celExample(2, 3)),
		Site: refused(schema.RuleViolated),
	}
}

// celExample is a manifest: a definition with a rule, and an object of it.
func celExample(least, most int) string {
	return definitionExample("v1") + `---
apiVersion: example.org/v1
kind: Range
metadata:
  name: example
  namespace: whoami
spec:
  least: ` + strconv.Itoa(least) + `
  most: ` + strconv.Itoa(most) + `
`
}

// definitionExample is a manifest: a definition whose one version is served.
func definitionExample(version string) string {
	return `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: ranges.example.org
spec:
  group: example.org
  scope: Namespaced
  names:
    kind: Range
    listKind: RangeList
    plural: ranges
    singular: range
  versions:
    - name: ` + version + `
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                least:
                  type: integer
                most:
                  type: integer
              x-kubernetes-validations:
                - rule: self.least <= self.most
                  message: least is more than most
`
}
