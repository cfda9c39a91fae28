package check

import (
	"slices"
	"strconv"

	"archipel/internal/finding"
)

func volumeUnknown() Rule {
	return Rule{
		ID: "volume-unknown", Group: Kubernetes, Severity: finding.Error,
		Summary: "A container mounts a volume that its pod does not have.",
		Reason:  "The API server refuses the workload (https://kubernetes.io/docs/concepts/storage/volumes/).",
		Bad:     inWhoami(mountExample("dta")),
		Good:    inWhoami(mountExample("data")),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.Render.Objects {
				pod := podSpec(o)
				if pod == nil {
					continue
				}
				there := map[string]bool{}
				for _, volume := range listAt(o.Object, append(slices.Clone(pod), "volumes")...) {
					there[textAt(volume, "name")] = true
				}
				for _, volume := range listAt(o.Object, "spec", "volumeClaimTemplates") { // of a StatefulSet
					there[textAt(volume, "metadata", "name")] = true
				}
				for _, c := range containers(o) {
					mounts := append(slices.Clone(c), "volumeMounts")
					for i, mount := range listAt(o.Object, mounts...) {
						if name := textAt(mount, "name"); name != "" && !there[name] {
							found = append(found, problem(s.At(o, append(slices.Clone(mounts), strconv.Itoa(i), "name")...), "name one of the pod's volumes, or add it",
								"%s mounts volume %s, which its pods do not have", named(o), name))
						}
					}
				}
			}
			return found
		},
	}
}

func mountExample(name string) string {
	return podExample("registry.example.org/example:1.0.0") + `      volumeMounts:
        - name: ` + name + `
          mountPath: /data
  volumes:
    - name: data
      emptyDir: {}
`
}
