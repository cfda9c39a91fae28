package check

import (
	"archipel/internal/finding"
	"archipel/internal/schema"
)

func objectFieldMissing() Rule {
	return Rule{
		ID: "object-field-missing", Group: Kubernetes, Severity: finding.Error,
		Summary: "An object lacks a field that it must have.",
		Reason:  "The API server refuses the object, and Flux everything in the same Kustomization (https://kubernetes.io/docs/reference/kubernetes-api/).",
		Bad: inWhoami(`
apiVersion: v1
kind: Service
metadata:
  name: example
  namespace: whoami
spec:
  selector:
    app.kubernetes.io/name: whoami
  ports:
    - name: http
`),
		Good: inWhoami(`
apiVersion: v1
kind: Service
metadata:
  name: example
  namespace: whoami
spec:
  selector:
    app.kubernetes.io/name: whoami
  ports:
    - name: http
      port: 80
`),
		Site: refused(schema.MissingRequired),
	}
}
