package check

import (
	"archipel/internal/finding"
)

func networkLayerRemediated() Rule {
	return Rule{
		ID: "network-layer-remediated", Group: Flux, Severity: finding.Error,
		Summary: "A failed install or upgrade of Cilium is uninstalled, rolled back or cleaned up, or never retried.",
		Reason: "Helm's remedies for a failure are to uninstall, to roll back or to delete what is new. Half-way through a rollout each of them takes the network from nodes that had " +
			"one; doing nothing leaves the release failed for ever. RetryOnFailure goes forward (https://fluxcd.io/flux/components/helm/helmreleases/#configuring-failure-handling; docs/decisions/0005).",
		Bad:  ciliumRelease("install:\n  remediation:\n    retries: -1\nupgrade:\n  cleanupOnFail: true\n"),
		Good: ciliumRelease("install:\n  strategy:\n    name: RetryOnFailure\nupgrade:\n  strategy:\n    name: RetryOnFailure\n"),
		Site: func(s *Site) []finding.Finding {
			const retry = "set its strategy to RetryOnFailure"
			var found []finding.Finding
			for _, r := range s.networkReleases() {
				for action, remedy := range map[string]string{"install": "uninstalled", "upgrade": "rolled back"} {
					at := func(path ...string) finding.Position {
						return s.At(r.Object, append([]string{"spec", action}, path...)...)
					}
					settings := mapAt(r.Object.Object, "spec", action)
					retries, _ := intAt(settings, "remediation", "retries")
					switch {
					case textAt(settings, "strategy", "name") == "RetryOnFailure":
					case retries != 0 || isTrue(settings, "remediation", "remediateLastFailure"):
						found = append(found, problem(at("remediation"), retry, "a failed %s of %s is %s", action, r.ReleaseName, remedy))
					default:
						found = append(found, problem(at("strategy"), retry, "a failed %s of %s is never retried", action, r.ReleaseName))
					}
					if isTrue(settings, "cleanupOnFail") {
						found = append(found, problem(at("cleanupOnFail"), "set it to false", "a failed %s of %s deletes what is new", action, r.ReleaseName))
					}
				}
			}
			return found
		},
	}
}
