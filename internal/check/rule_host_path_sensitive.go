package check

import (
	"archipel/internal/finding"
)

func hostPathSensitive() Rule {
	return Rule{
		ID: "host-path-sensitive", Group: Workloads, Severity: finding.Error,
		Summary: "A pod mounts a folder of its node that decides over the node.",
		Reason: "Whoever reads /etc, /root or the folders of k3s and the kubelet has the credentials of the node; whoever writes to /, /usr, /dev or /proc has the node " +
			"(https://kubernetes.io/docs/concepts/storage/volumes/#hostpath).",
		Bad:    hostPathExample("/etc"),
		Good:   deploymentExample("", "volumes:\n  - name: files\n    emptyDir: {}\n", "volumeMounts:\n  - name: files\n    mountPath: /files\n"),
		Covers: []string{"kube-linter sensitive-host-mounts", "trivy KSV-0121", "trivy KSV-0023"},
		Site: eachHostPath(func(_ *workload, h hostPath) *flaw {
			if h.class() != sensitivePath {
				return nil
			}
			return &flaw{says: "mounts the node's " + h.path, fix: "leave out the volume " + h.volume + ", or mount only the folder below it that is needed"}
		}),
	}
}

// hostPathExample is an example: a Deployment that mounts a folder of its node.
func hostPathExample(folder string) string {
	return deploymentExample("", "volumes:\n  - name: node\n    hostPath:\n      path: "+folder+"\n", "volumeMounts:\n  - name: node\n    mountPath: /node\n    readOnly: true\n")
}
