package check

import (
	"archipel/internal/finding"
)

func runtimeSocketMounted() Rule {
	return Rule{
		ID: "runtime-socket-mounted", Group: Workloads, Severity: finding.Error,
		Summary: "A pod mounts the socket of the container runtime.",
		Reason: "Whoever can write to it starts privileged containers, and has the node; that it is mounted read-only does not matter for a socket " +
			"(https://kubernetes.io/docs/concepts/storage/volumes/#hostpath, https://docs.docker.com/engine/security/#docker-daemon-attack-surface).",
		Bad:    hostPathExample("/run/k3s/containerd/containerd.sock"),
		Good:   deploymentExample("", "volumes:\n  - name: files\n    emptyDir: {}\n", "volumeMounts:\n  - name: files\n    mountPath: /files\n"),
		Covers: []string{"kube-linter docker-sock", "kube-linter container-runtime-sock", "trivy KSV-0006", "trivy KSV-0023"},
		Site: eachHostPath(func(_ *workload, h hostPath) *flaw {
			if h.class() != socketPath {
				return nil
			}
			return &flaw{says: "mounts the socket of the container runtime, " + h.path, fix: "leave out the volume " + h.volume}
		}),
	}
}
