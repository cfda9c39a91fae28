package check

import (
	"fmt"
	"strings"
)

// Facts of the base fleet, for examples that change some of them.
const (
	baseFacts = `cluster_id: 1
node_cidr: 198.51.100.0/24
pod_cidr: 10.64.0.0/16
service_cidr: 10.128.0.0/16
load_balancer_ranges: [198.51.100.200-198.51.100.239]
mesh_api_address: 198.51.100.200
`
	baseShared = `git_url: https://git.archipel.example/archipel.git
git_branch: main
k3s_version: v1.36.4+k3s1
flux_version: v2.9.5
cilium_version: 1.20.2
metallb_version: 0.16.2
native_routing_cidr: 10.64.0.0/10
interconnect: wireguard
node_interface: enp1s0
mesh_max_clusters: 255
`
)

// factsWith is an example that changes facts of site-a. A fact with a dash before its name
// is left out.
func factsWith(changes string) string {
	return overlay(inventories+"/site-a/group_vars/all/main.yml", changed(baseFacts, changes))
}

// sharedWith is an example that changes facts of all sites.
func sharedWith(changes string) string {
	return overlay(inventories+"/fleet.yml", "all:\n  vars:\n"+indent(changed(baseShared, changes), 4))
}

// hostsWith is an example with another hosts.yml of site-a.
func hostsWith(text string) string { return overlay(inventories+"/site-a/hosts.yml", text) }

// changed replaces lines of the form "key: value", and adds those of new keys.
func changed(lines, changes string) string {
	var b strings.Builder
	left := strings.Split(strings.TrimSpace(changes), "\n")
	for line := range strings.Lines(lines) {
		key, _, _ := strings.Cut(line, ":")
		for i, change := range left {
			if name, _, _ := strings.Cut(change, ":"); strings.TrimPrefix(name, "-") == key {
				line, left[i] = change+"\n", ""
				if strings.HasPrefix(change, "-") {
					line = ""
				}
			}
		}
		b.WriteString(line)
	}
	for _, change := range left {
		if change != "" {
			b.WriteString(change + "\n")
		}
	}
	return b.String()
}

// manySites is an example that adds n sites of which nothing is known but the name.
func manySites(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(overlay(fmt.Sprintf("%s/site-%03d/README.md", inventories, i), "New.\n"))
	}
	return b.String()
}
