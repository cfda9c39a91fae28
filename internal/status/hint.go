package status

import (
	"fmt"
	"strings"
	"time"
)

// reconcilePatience is how long a controller may take to look at a new object
// before it is worth asking whether it runs.
const reconcilePatience = time.Minute

// hint says what to do about a cause, or "" when its message says it all. The
// signs are messages of Flux 2.9's controllers and of Kubernetes 1.36.
func hint(c Cause, now time.Time) string {
	switch c.Reason {
	case "AuthenticationFailed":
		return "check the Secret that its spec.secretRef names"
	case reasonNotReconciled, reasonNotObserved:
		if c.Since != nil && now.Sub(*c.Since) > reconcilePatience && !isWorkload(c.Object.Kind) {
			return "see whether " + controllerOf(c.Object.Kind) + " runs"
		}
		return ""
	case reasonNotFound:
		return "create it, or correct the name in what refers to it"
	case "DependencyCycle":
		return "remove one dependsOn of the circle"
	case "Suspended":
		return fmt.Sprintf("flux resume %s %s -n %s", fluxCommand(c.Object.Kind), c.Object.Name, c.Object.Namespace)
	case "NodeStatusUnknown":
		return "see whether the node is up and k3s runs on it"
	}
	for _, known := range []struct{ sign, advice string }{
		{"authentication required", "check the Secret that its spec.secretRef names"},
		{"decryption Secret", "create that Secret with the site's age key, under a name that ends in .agekey"},
		{"cannot get sops data key", "encrypt the file for this site's age key, or restore that key in the Secret sops-age"},
		{"configuring decryption is required", "set spec.decryption of the Kustomization"},
		{"substitute from '", "create what substituteFrom names"},
		{"no matches for kind", "apply its CustomResourceDefinition in a Kustomization that this one depends on"},
		{"chart with version matching", "set a version that the chart repository offers"},
		{"couldn't find remote ref", "set a branch that the Git repository has"},
		{"certificate signed by unknown authority", "name the authority in the Secret of spec.certSecretRef"},
	} {
		if strings.Contains(c.Message, known.sign) {
			return known.advice
		}
	}
	return ""
}

// fluxCommand is how the flux command line calls a kind.
func fluxCommand(kind string) string {
	switch kind {
	case "GitRepository":
		return "source git"
	case "OCIRepository":
		return "source oci"
	case "HelmRepository":
		return "source helm"
	case "HelmChart":
		return "source chart"
	}
	return strings.ToLower(kind)
}
