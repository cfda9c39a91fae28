package fleet

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"archipel/internal/finding"
)

// nodeVariables are the variables of a node that archipel reads.
func nodeVariables() []string { return []string{"ansible_host", "node_ip", "wireguard_endpoint"} }

// wireGuardPort is WireGuard's usual port, on which the gateways listen.
const wireGuardPort = 51820

// nodes fills the site's nodes from the groups servers and agents.
func (inv *inventory) nodes() {
	// A node is named after its host, so a host's name must be a DNS subdomain
	// (RFC 1123), as the API server asks of the name of a Node.
	names := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	servers, agents := inv.hostsOf("servers"), inv.hostsOf("agents")
	inv.checkServers(servers)
	roles := map[*host]Role{}
	for _, h := range servers {
		roles[h] = RoleServer
		inv.addNode(h, RoleServer, names)
	}
	for _, h := range agents {
		if roles[h] == RoleServer {
			inv.fail("node-role-ambiguous", h.at.file.Position(h.at.key), fmt.Sprintf("node %s is in both groups, servers and agents", h.name),
				"keep it in one of them; a server runs workloads too")
			continue
		}
		roles[h] = RoleAgent
		inv.addNode(h, RoleAgent, names)
	}
	for _, h := range inv.hostsOf("gateways") {
		if roles[h] == "" {
			inv.fail("gateway-no-node", h.at.file.Position(h.at.key), fmt.Sprintf("gateway %s is no node", h.name),
				"put it below servers or agents too")
			continue
		}
		inv.site.Gateways = append(inv.site.Gateways, h.name)
	}
	if len(inv.site.Gateways) == 0 && len(servers) > 0 {
		inv.site.Gateways = []string{servers[0].name}
	}
	for _, h := range inv.order {
		alone := slices.ContainsFunc(h.groups, func(g *group) bool { return g.name == "ungrouped" })
		if local := h.name == "localhost" || h.name == "127.0.0.1"; alone && roles[h] == "" && !local {
			inv.warn("host-ungrouped", h.at.file.Position(h.at.key), fmt.Sprintf("host %s is in no group, so it is no node", h.name),
				"move it below the group servers or agents, or into a group of its own")
		}
	}
}

func (inv *inventory) hostsOf(name string) []*host {
	if g, ok := inv.groups[name]; ok {
		return g.members()
	}
	return nil
}

// checkServers asks for servers, and for a number of them that suits etcd.
func (inv *inventory) checkServers(servers []*host) {
	if len(servers) == 0 {
		if inv.incomplete {
			return
		}
		file := inv.dir
		if inv.has(inv.dir, "hosts.yml") {
			file += "/hosts.yml"
		}
		fix := "put at least one host below all: children: servers: hosts:"
		for _, name := range inv.names {
			if near, ok := nearest(name, []string{"servers"}); ok && name != near {
				fix = fmt.Sprintf("rename the group %s to servers", name)
			}
		}
		inv.fail("servers-missing", whole(file), "the site has no server", fix)
		return
	}
	if n := len(servers); n%2 == 0 {
		h := servers[n-1]
		inv.warn("servers-even", h.at.file.Position(h.at.key), fmt.Sprintf("the site has %d servers: etcd survives no more failures than with %d", n, n-1),
			fmt.Sprintf("run %d or %d servers", n-1, n+1))
	}
}

// addNode adds a node with its address. A node without a good address is listed
// with the zero address.
func (inv *inventory) addNode(h *host, role Role, names *regexp.Regexp) {
	at := h.at.file.Position(h.at.key)
	if !names.MatchString(h.name) || len(h.name) > 253 {
		inv.fail("node-name-invalid", at, fmt.Sprintf("%q cannot be the name of a Kubernetes node", h.name), "use a-z, 0-9, - and dots, for example "+inv.site.Name+"-server-1")
	}
	address, position := inv.address(h, at)
	node := Node{Name: h.name, Role: role, Address: address, SSHHost: h.name, Position: at}
	if v, ok := inv.variables(h).lookup("ansible_host"); ok && inv.types.kindOf(v.node) == isString {
		node.SSHHost = target(v.node).Value
	}
	node.WireGuardEndpoint = inv.endpoint(h, address)
	inv.site.Nodes = append(inv.site.Nodes, node)
	inv.addresses = append(inv.addresses, position)
}

// address returns a node's address and where it stands: node_ip, or ansible_host
// when that is an address.
func (inv *inventory) address(h *host, at finding.Position) (netip.Addr, finding.Position) {
	vars := inv.variables(h)
	ssh, hasSSH := vars.lookup("ansible_host")
	var sshText string
	if hasSSH {
		text, ok := inv.text("ansible_host", ssh)
		if !ok {
			return netip.Addr{}, at
		}
		sshText = text
	}
	if v, ok := vars.lookup("node_ip"); ok {
		text, ok := inv.text("node_ip", v)
		if !ok {
			return netip.Addr{}, v.position()
		}
		a, err := parseAddress(text)
		if err != nil {
			inv.fail("node-address-invalid", v.position(), fmt.Sprintf("node_ip of %s: %v", h.name, err), "write the IPv4 address that the other nodes reach")
		}
		return a, v.position()
	}
	if !hasSSH {
		if !inv.incomplete {
			inv.fail("node-address-missing", at, fmt.Sprintf("node %s has no address", h.name), "add ansible_host: and its IPv4 address below the host")
		}
		return netip.Addr{}, at
	}
	a, err := parseAddress(sshText)
	if err != nil {
		inv.fail("node-address-missing", ssh.position(), fmt.Sprintf("node %s has no address: ansible_host is %q, and there is no node_ip", h.name, sshText),
			"add node_ip: and the IPv4 address that the other nodes reach")
	}
	return a, ssh.position()
}

// endpoint is where the gateways of other sites reach a node.
func (inv *inventory) endpoint(h *host, address netip.Addr) string {
	standard := ""
	if address.IsValid() {
		standard = netip.AddrPortFrom(address, wireGuardPort).String()
	}
	v, ok := inv.variables(h).lookup("wireguard_endpoint")
	if !ok {
		return standard
	}
	text, ok := inv.text("wireguard_endpoint", v)
	if !ok {
		return standard
	}
	name, port := text, strconv.Itoa(wireGuardPort)
	if head, tail, hasPort := strings.Cut(text, ":"); hasPort {
		name, port = head, tail
	}
	n, isNumber := number(port)
	// A name of DNS, or an IPv4 address, which looks like one.
	names := regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
	if !names.MatchString(name) || len(name) > 253 || !isNumber || n < 1 || n > 65535 {
		inv.fail("wireguard-endpoint-invalid", v.position(), fmt.Sprintf("wireguard_endpoint of %s is %q, which is no host and port", h.name, text),
			"write host:port, for example vpn.example.org:51820")
		return standard
	}
	return name + ":" + strconv.Itoa(n)
}
