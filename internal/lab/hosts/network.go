package hosts

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// router is the name of the router's network namespace; a host's is the name of
// the host, which has no underscore.
const router = "_router"

// own is what only the lab sees under this name.
const own = "/run/archipel-lab"

// setUp makes what all sites share. It runs once in the new namespaces.
// Everything that podman and ip keep in /run and /dev/shm is the lab's own, and is
// gone with its last process.
func setUp(unifiedCgroups bool) string {
	script := `mount -t tmpfs -o mode=755 archipel-lab /run
mount -t tmpfs -o mode=1777 archipel-lab /dev/shm
mkdir -p /run/lock /run/netns ` + own + `/hosts ` + own + `/sites
`
	if !unifiedCgroups {
		// systemd in a container asks for the unified hierarchy.
		script += `umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
`
	}
	return script + `ip link set lo up
sysctl -qw net.ipv4.ip_forward=0
ip netns add ` + router + `
ip -n ` + router + ` link set lo up
nsenter --net=/run/netns/` + router + ` sysctl -qw net.ipv4.ip_forward=1
touch ` + own + `/ready
`
}

// connect makes the switch of a site, with the router and the controller in it.
func (s Site) connect() string {
	return fmt.Sprintf(`ip link del %[1]s 2>/dev/null || true
ip link del %[1]sr 2>/dev/null || true
ip link add %[1]s type bridge
ip addr add %[2]s dev %[1]s
ip link set %[1]s up
ip link add %[1]sr type veth peer name %[1]s netns %[4]s
ip link set %[1]sr master %[1]s up
ip -n %[4]s addr add %[3]s dev %[1]s
ip -n %[4]s link set %[1]s up
`, s.bridge(), s.onNetwork(s.Controller), s.onNetwork(s.Router), router)
}

// connectHost makes the network of a host as a machine has it that was just
// switched on.
func (s Site) connectHost(h Host) string {
	return fmt.Sprintf(`ip link del %[1]s 2>/dev/null || true
ip netns del %[2]s 2>/dev/null || true
ip netns add %[2]s
ip link add %[1]s type veth peer name %[3]s address %[7]s netns %[2]s
ip link set %[1]s master %[4]s up
ip -n %[2]s link set lo up
ip -n %[2]s addr add %[5]s dev %[3]s
ip -n %[2]s link set %[3]s up
ip -n %[2]s route add default via %[6]s
nsenter --net=/run/netns/%[2]s sysctl -qw net.ipv4.ip_forward=0
`, h.link(), h.Name, h.Interface, s.bridge(), s.onNetwork(h.Address), s.Router, h.hardware())
}

// hardware is the MAC address of a host, the same each time that it is switched on: with
// another one its neighbours look for it in vain until they ask anew. 02 marks an address
// that no vendor has given (RFC 7042).
func (h Host) hardware() string {
	address := h.Address.As4()
	return net.HardwareAddr(append([]byte{0x02, 0x61}, address[:]...)).String()
}

// Fault is what is wrong between two sites, in both directions.
type Fault struct {
	Sites [2]string `json:"sites"`
	Loss  int       `json:"loss"` // percent of the packets; 100 is a cut
}

// Of says whether the fault is between these two sites.
func (f Fault) Of(a, b string) bool {
	return f.Sites == [2]string{a, b} || f.Sites == [2]string{b, a}
}

func (f Fault) String() string {
	if f.Loss == 100 {
		return fmt.Sprintf("%s and %s are cut", f.Sites[0], f.Sites[1])
	}
	return fmt.Sprintf("%d %% of the packets between %s and %s are lost", f.Loss, f.Sites[0], f.Sites[1])
}

// rules are what the router does about faults, in the language of nft. The
// kernel may lack netem; a filter does the same.
func rules(sites []Site, faults []Fault) string {
	bridge := map[string]string{}
	for _, s := range sites {
		bridge[s.Name] = s.bridge()
	}
	var text strings.Builder
	text.WriteString("table inet archipel\ndelete table inet archipel\n")
	text.WriteString("table inet archipel {\n\tchain forward {\n\t\ttype filter hook forward priority 0\n")
	for _, f := range faults {
		from, to := bridge[f.Sites[0]], bridge[f.Sites[1]]
		if from == "" || to == "" { // gone from the inventories
			continue
		}
		share := fmt.Sprintf("numgen random mod 100 < %d ", f.Loss)
		if f.Loss == 100 {
			share = "" // nft refuses what is always true
		}
		for _, way := range [][2]string{{from, to}, {to, from}} {
			fmt.Fprintf(&text, "\t\tiifname %q oifname %q %sdrop\n", way[0], way[1], share)
		}
	}
	text.WriteString("\t}\n}\n")
	return text.String()
}

// Change returns faults with that between two sites replaced; no loss heals.
func Change(faults []Fault, a, b string, loss int) []Fault {
	left := slices.DeleteFunc(slices.Clone(faults), func(f Fault) bool { return f.Of(a, b) })
	if loss > 0 {
		left = append(left, Fault{Sites: [2]string{a, b}, Loss: loss})
	}
	return left
}
