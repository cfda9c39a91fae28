package check

import (
	"strings"

	"archipel/internal/finding"
	"archipel/internal/schema"
)

func apiVersionUnserved() Rule {
	return Rule{
		ID: "api-version-unserved", Group: Kubernetes, Severity: finding.Error,
		Summary: "An object has an API version that is not served: an alpha or beta one, or one that its definition has switched off.",
		Reason: "New beta APIs are off since Kubernetes 1.24, alpha ones always were, and k3s turns none on. A definition keeps old versions for stored objects without serving them " +
			"(https://kubernetes.io/docs/reference/using-api/#api-versioning).",
		Bad: inWhoami(strings.Replace(definitionExample("v1"), "served: true", "served: false", 1) + `---
apiVersion: example.org/v1
kind: Range
metadata:
  name: example
  namespace: whoami
`),
		Good: inWhoami(definitionExample("v1") + `---
apiVersion: example.org/v1
kind: Range
metadata:
  name: example
  namespace: whoami
`),
		Site: refused(schema.DisabledAPI, schema.UnservedVersion),
	}
}
