package bootstrap

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"archipel/internal/fleet"
	"archipel/internal/status"
)

// Kubeconfig reads the administrator's kubeconfig on the first server that answers,
// into memory. server is where its API server is reached from here, and name what its
// certificate is issued for.
func (a *Ansible) Kubeconfig(ctx context.Context, site *Site) (content []byte, server, name string, err error) {
	for _, h := range site.Servers() {
		content, err = a.Sudo(ctx, h, "cat", "/etc/rancher/k3s/k3s.yaml")
		if err == nil {
			return content, "https://" + net.JoinHostPort(h.SSHHost, "6443"), h.Address.String(), nil
		}
		if ctx.Err() != nil {
			return nil, "", "", ctx.Err()
		}
	}
	return nil, "", "", fmt.Errorf("reading the kubeconfig of %s: %w", site.Name, err)
}

// snapshots is where k3s keeps what it saved of etcd.
const snapshots = "/var/lib/rancher/k3s/server/db/snapshots"

// Snapshots lists the snapshots on a server, the newest first.
func (a *Ansible) Snapshots(ctx context.Context, h Host) ([]string, error) {
	out, err := a.Sudo(ctx, h, "sh", "-c", "test ! -d "+snapshots+" || ls -1t "+snapshots)
	if err != nil {
		return nil, fmt.Errorf("listing the snapshots of %s: %w", h.Site, err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if name := strings.TrimSpace(line); SnapshotName(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// SnapshotPath is where a server keeps a snapshot.
func SnapshotPath(name string) string { return snapshots + "/" + name }

// SnapshotName says whether a text can be the name of a snapshot.
func SnapshotName(text string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`).MatchString(text)
}

// Quorum says why etcd would lose its quorum, or not get it back, when a server is
// removed: members is how many servers there are, healthy how many of them answer,
// and lost that the one to remove does not. It returns "" when nothing stands against it.
func Quorum(members, healthy int, lost bool) string {
	switch {
	case members <= 1:
		return "it is the last server of the site; archipel reset takes a whole site down"
	case healthy < members/2+1:
		return fmt.Sprintf("only %d of %d servers answer, so that etcd has no quorum and removes no member; archipel restore starts anew from a snapshot", healthy, members)
	}
	after := healthy
	if !lost {
		after--
	}
	if need := (members-1)/2 + 1; after < need {
		return fmt.Sprintf("of the %d servers that stay only %d would answer, and etcd needs %d; repair or remove those that are lost first", members-1, after, need)
	}
	return ""
}

// version is a version of k3s: v1.36.4+k3s1.
type version [4]int

func parseVersion(text string) (version, bool) {
	m := regexp.MustCompile(`^v([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})(?:\+k3s([0-9]{1,6}))?$`).FindStringSubmatch(text)
	if m == nil {
		return version{}, false
	}
	var v version
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1])
	}
	return v, true
}

func (v version) compare(o version) int {
	for i := range v {
		if v[i] != o[i] {
			return v[i] - o[i]
		}
	}
	return 0
}

// CheckUpgrade says why the nodes of a site must not be upgraded to a version, one
// line for each reason. limit are the nodes to upgrade; none means all.
func CheckUpgrade(nodes []status.Node, to string, limit []string) []string {
	target, ok := parseVersion(to)
	if !ok {
		return []string{fmt.Sprintf("k3s_version %q is no version of k3s", to)}
	}
	var reasons []string
	oldest := target // of the servers, once those of limit are upgraded
	for _, n := range nodes {
		v, ok := parseVersion(n.Version)
		switch {
		case !ok:
			reasons = append(reasons, fmt.Sprintf("%s runs %q, which is no version of k3s", n.Name, n.Version))
			continue
		case v.compare(target) > 0:
			reasons = append(reasons, fmt.Sprintf("%s runs %s, newer than %s: k3s does not go back; restore a snapshot of the older version instead", n.Name, n.Version, to))
		case v[0] != target[0] || target[1]-v[1] > 1:
			reasons = append(reasons, fmt.Sprintf("%s runs %s: upgrade to each minor on the way to %s, none may be left out", n.Name, n.Version, to))
		}
		if n.Role == string(fleet.RoleServer) && !taken(limit, n.Name) && v.compare(oldest) < 0 {
			oldest = v
		}
	}
	for _, n := range nodes {
		if n.Role != string(fleet.RoleServer) && taken(limit, n.Name) && target.compare(oldest) > 0 {
			reasons = append(reasons, fmt.Sprintf("%s would be newer than a server: upgrade the servers first", n.Name))
		}
	}
	return reasons
}

func taken(limit []string, name string) bool {
	if len(limit) == 0 {
		return true
	}
	for _, l := range limit {
		if l == name {
			return true
		}
	}
	return false
}
