package check

import (
	"net/netip"
	"time"

	"archipel/internal/finding"
)

func metallbPeerInvalid() Rule {
	return Rule{
		ID: "metallb-peer-invalid", Group: Kubernetes, Severity: finding.Error,
		Summary: "MetalLB's webhook would refuse a BGPPeer.",
		Reason: "A peer has a number of its own and one of the other side, either an address or an interface, and a hold time of zero or at least 3 seconds, not below the keepalive time " +
			"(MetalLB, peerFromCR and parseTimers of internal/config).",
		Bad:  peerExample("myASN: 64512\npeerASN: 64513\npeerAddress: router\n"),
		Good: peerExample("myASN: 64512\npeerASN: 64513\npeerAddress: 198.51.100.1\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.kinds(metallbAPI, "BGPPeer") {
				if field, message := refusedPeer(mapAt(o.Object, "spec")); message != "" {
					found = append(found, problem(s.At(o, "spec", field), "correct it as https://metallb.io/configuration/_advanced_bgp_configuration/ says", "%s %s", named(o), message))
				}
			}
			return found
		},
	}
}

// refusedPeer returns the field and the reason for which MetalLB refuses a peer.
func refusedPeer(spec map[string]any) (field, message string) {
	own, _ := intAt(spec, "myASN")
	other, _ := intAt(spec, "peerASN")
	dynamic, address, link := textAt(spec, "dynamicASN"), textAt(spec, "peerAddress"), textAt(spec, "interface")
	hold, hasHold := durationAt(spec, "holdTime")
	keepalive, hasKeepalive := durationAt(spec, "keepaliveTime")
	if !hasHold && hasKeepalive {
		hold = 3 * keepalive
	}
	invalid := func(text string) bool {
		_, err := netip.ParseAddr(text)
		return text != "" && err != nil
	}
	switch {
	case own == 0:
		return "myASN", "has no myASN"
	case other == 0 && dynamic == "":
		return "peerASN", "has neither peerASN nor dynamicASN"
	case other != 0 && dynamic != "":
		return "dynamicASN", "has both peerASN and dynamicASN"
	case own == other && isTrue(spec, "ebgpMultiHop"):
		return "ebgpMultiHop", "is an internal peer, which has no ebgpMultiHop"
	case address == "" && link == "":
		return "peerAddress", "has neither peerAddress nor interface"
	case address != "" && link != "":
		return "interface", "has both peerAddress and interface"
	case invalid(address):
		return "peerAddress", "has a peerAddress that is no address"
	case invalid(textAt(spec, "routerID")):
		return "routerID", "has a routerID that is no address"
	case invalid(textAt(spec, "sourceAddress")):
		return "sourceAddress", "has a sourceAddress that is no address"
	case hold.Truncate(time.Second) != 0 && hold < 3*time.Second:
		return "holdTime", "has a hold time below 3 seconds"
	case hasHold && hasKeepalive && keepalive > hold:
		return "keepaliveTime", "has a keepaliveTime above its holdTime"
	case textAt(spec, "password") != "" && textAt(spec, "passwordSecret", "name") != "":
		return "password", "has both password and passwordSecret"
	}
	return "", ""
}

func peerExample(spec string) string {
	return overlay("kubernetes/flux/apps/metallb/config/kustomization.yaml", `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - pools.yaml
  - advertisement.yaml
  - peer.yaml
`) + overlay("kubernetes/flux/apps/metallb/config/peer.yaml", `
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata:
  name: router
  namespace: metallb-system
spec:
`+indent(spec, 2))
}
