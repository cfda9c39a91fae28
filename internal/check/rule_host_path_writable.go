package check

import (
	"slices"
	"strconv"
	"strings"

	"archipel/internal/finding"
)

func hostPathWritable() Rule {
	return Rule{
		ID: "host-path-writable", Group: Workloads, Severity: finding.Warning,
		Summary: "A container can write to a folder of its node.",
		Reason: "What it leaves there stays after the pod and is read by the node and by other pods (https://kubernetes.io/docs/concepts/storage/volumes/#hostpath). " +
			"Folders that decide over the node are host-path-sensitive.",
		Bad:    strings.Replace(hostPathExample("/srv/data"), "    readOnly: true\n", "", 1),
		Good:   hostPathExample("/srv/data"),
		Covers: []string{"kube-linter writable-host-mount", "trivy KSV-0023"},
		Site: eachContainer(func(w *workload, c *container) *flaw {
			var written []string
			var first string
			for i, mount := range listAt(c.spec, "volumeMounts") {
				for _, h := range w.hostPaths() {
					if h.volume == textAt(mount, "name") && !isTrue(mount, "readOnly") && h.class() == plainPath && !slices.Contains(written, h.path) {
						if written = append(written, h.path); first == "" {
							first = strconv.Itoa(i)
						}
					}
				}
			}
			if written == nil {
				return nil
			}
			return &flaw{[]string{"volumeMounts", first}, "set readOnly to true where it only reads, and use a volume of its own where it writes", "can write to the node's " + strings.Join(written, ", ")}
		}),
	}
}
