package check

import (
	"fmt"

	"archipel/internal/finding"
)

func mtuTooLarge() Rule {
	return Rule{
		ID: "mtu-too-large", Group: Network, Severity: finding.Warning,
		Summary: "The MTU of the pods does not fit through the link between the sites.",
		Reason: "The WireGuard link takes 60 bytes of each packet over IPv4 and 80 over IPv6 " +
			"(https://www.wireguard.com/papers/wireguard.pdf): of 1500 bytes 1440 are left at most. Larger packets are dropped or " +
			"fragmented, which shows as connections that hang. Cilium subtracts its own WireGuard overhead itself.",
		Bad:  factsWith("mtu: 1500"),
		Good: factsWith("mtu: 1420"),
		Fleet: func(f *Fleet) []finding.Finding {
			const largest = 1500 - 60
			var findings []finding.Finding
			for _, site := range f.Sites {
				if facts := site.Facts; facts.Interconnect == "wireguard" && facts.MTU > largest && len(f.Fleet.Sites) > 1 {
					one := problem(site.Position("mtu"), fmt.Sprintf("choose at most %d, or 1420 to leave room for IPv6; ignore this where the path between sites has jumbo frames", largest),
						"mtu %d does not fit through a WireGuard link of 1500 bytes, which leaves %d", facts.MTU, largest)
					one.Sites = []string{site.Name}
					findings = append(findings, one)
				}
			}
			return findings
		},
	}
}
