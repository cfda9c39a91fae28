package check

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"archipel/internal/finding"
	"archipel/internal/render"
)

// hostPath is a folder or a file of the node that a pod can mount.
type hostPath struct {
	path   string
	volume string
	index  string // of the volume in the pod
}

// pathClass is how much a path of the node gives away.
type pathClass int

// The classes of paths. Each is of one rule, so that no path is reported twice.
const (
	plainPath pathClass = iota
	sensitivePath
	socketPath
)

// class says which rule a path is of.
func (h hostPath) class() pathClass {
	clean := strings.TrimPrefix(h.path, "/var") // /var/run is /run
	if slices.Contains([]string{"docker.sock", "containerd.sock", "crio.sock", "podman.sock"}, path.Base(h.path)) ||
		slices.Contains([]string{"/run/containerd", "/run/k3s", "/run/k3s/containerd", "/run/crio", "/run/docker"}, clean) {
		return socketPath
	}
	if slices.Contains([]string{
		"/", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/bin", "/sys", "/usr", "/var", "/var/lib", "/var/run", "/var/lib/docker",
	}, h.path) {
		return sensitivePath
	}
	for _, folder := range []string{"/etc/kubernetes", "/etc/rancher", "/root", "/var/lib/kubelet", "/etc/ssh", "/etc/systemd", "/var/lib/etcd"} {
		if h.path == folder || strings.HasPrefix(h.path, folder+"/") && folder != "/var/lib/kubelet" {
			return sensitivePath
		}
	}
	if slices.Contains([]string{"/var/lib/rancher", "/var/lib/rancher/k3s", "/var/lib/rancher/k3s/agent", "/var/lib/rancher/k3s/server", "/var/lib/kubelet/pods"}, h.path) ||
		strings.HasPrefix(h.path, "/var/lib/rancher/k3s/server/") {
		return sensitivePath
	}
	return plainPath
}

// hostPaths returns the paths of the node that a workload's pods can mount.
func (w *workload) hostPaths() []hostPath {
	var found []hostPath
	for i, volume := range listAt(w.spec, "volumes") {
		if folder := textAt(volume, "hostPath", "path"); folder != "" {
			found = append(found, hostPath{path.Clean(folder), textAt(volume, "name"), strconv.Itoa(i)})
		}
	}
	return found
}

// writes says whether a container can write to a path of the node.
func (w *workload) writes(h hostPath) bool {
	return slices.ContainsFunc(w.containers, func(c *container) bool {
		return slices.ContainsFunc(listAt(c.spec, "volumeMounts"), func(mount any) bool { return textAt(mount, "name") == h.volume && !isTrue(mount, "readOnly") })
	})
}

// eachHostPath makes a rule's function of one that looks at a path of the node.
func eachHostPath(check func(*workload, hostPath) *flaw) func(*Site) []finding.Finding {
	return func(s *Site) []finding.Finding {
		var found []finding.Finding
		for _, w := range s.workloads() {
			for _, h := range w.hostPaths() {
				if f := check(w, h); f != nil {
					found = append(found, s.concern(w.Object, "", at(w.pod, "volumes", h.index, "hostPath", "path"), f.fix, "%s %s", named(w.Object), f.says))
				}
			}
		}
		return found
	}
}

// account is a service account.
type account struct{ namespace, name string }

func (a account) String() string { return a.namespace + "/" + a.name }

// account returns the service account that a workload's pods run as.
func (w *workload) account() account {
	a := account{w.GetNamespace(), "default"}
	for _, field := range []string{"serviceAccount", "serviceAccountName"} {
		if name := textAt(w.spec, field); name != "" {
			a.name = name
		}
	}
	return a
}

// boundAccounts returns the service accounts that a role is bound to.
func (s *Site) boundAccounts() map[account]bool {
	bound := map[account]bool{}
	for _, o := range s.kinds("rbac.authorization.k8s.io", "RoleBinding", "ClusterRoleBinding") {
		for _, subject := range listAt(o.Object, "subjects") {
			if textAt(subject, "kind") == "ServiceAccount" {
				namespace := textAt(subject, "namespace")
				if namespace == "" {
					namespace = o.GetNamespace()
				}
				bound[account{namespace, textAt(subject, "name")}] = true
			}
		}
	}
	return bound
}

// withoutToken says whether a service account asks that its token is mounted nowhere.
func (s *Site) withoutToken(a account) bool {
	return slices.ContainsFunc(s.kinds("", "ServiceAccount"), func(o *render.Object) bool {
		return o.GetName() == a.name && o.GetNamespace() == a.namespace && valueAt(o.Object, "automountServiceAccountToken") == false
	})
}
