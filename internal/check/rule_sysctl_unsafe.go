package check

import (
	"slices"
	"strconv"

	"archipel/internal/finding"
)

func sysctlUnsafe() Rule {
	return Rule{
		ID: "sysctl-unsafe", Group: Workloads, Severity: finding.Warning,
		Summary: "A pod sets a kernel parameter that is not safe.",
		Reason: "It may change the node or its neighbours, and the kubelet refuses the pod unless the node allows the parameter " +
			"(https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/#safe-and-unsafe-sysctls).",
		Bad:    podFieldsExample("securityContext:\n  sysctls:\n    - name: kernel.msgmax\n      value: \"65536\"\n"),
		Good:   podFieldsExample("securityContext:\n  sysctls:\n    - name: net.ipv4.tcp_syncookies\n      value: \"1\"\n"),
		Covers: []string{"kube-linter unsafe-sysctls", "trivy KSV-0026"},
		Site: eachPod(func(_ *Site, w *workload) *flaw {
			safe := []string{
				"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start",
				"net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
				"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
			}
			for i, sysctl := range listAt(w.spec, "securityContext", "sysctls") {
				if name := textAt(sysctl, "name"); !slices.Contains(safe, name) {
					return &flaw{[]string{"securityContext", "sysctls", strconv.Itoa(i)}, "leave it out, or set it on the nodes", "sets the kernel parameter " + name}
				}
			}
			return nil
		}),
	}
}
