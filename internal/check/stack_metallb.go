package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"archipel/internal/render"
)

// span is a range of addresses of an IPAddressPool.
type span struct {
	first, last netip.Addr
	pool        *render.Object
	index       string // in spec.addresses
}

func (a span) String() string {
	if a.first == a.last {
		return a.first.String()
	}
	return a.first.String() + "-" + a.last.String()
}

func (a span) contains(ip netip.Addr) bool {
	return a.first.Compare(ip) <= 0 && ip.Compare(a.last) <= 0
}

// parseSpan reads an address range as MetalLB does: first-last, or a network (ParseCIDR of its
// internal/config).
func parseSpan(text string) (first, last netip.Addr, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return first, last, fmt.Errorf("%q is neither a network in CIDR notation nor first-last", text)
		}
		network = network.Masked()
		bytes := network.Addr().AsSlice()
		for bit := network.Bits(); bit < len(bytes)*8; bit++ {
			bytes[bit/8] |= 1 << (7 - bit%8)
		}
		last, _ = netip.AddrFromSlice(bytes)
		return network.Addr(), last, nil
	}
	if first, err = netip.ParseAddr(strings.TrimSpace(from)); err != nil {
		return first, last, fmt.Errorf("%q does not begin with an address", text)
	}
	if last, err = netip.ParseAddr(strings.TrimSpace(to)); err != nil {
		return first, last, fmt.Errorf("%q does not end with an address", text)
	}
	if first.BitLen() != last.BitLen() || first.Compare(last) > 0 {
		return first, last, fmt.Errorf("%q ends before it begins", text)
	}
	return first, last, nil
}

// pools returns the address ranges of a site's pools that can be read, in order.
func (s *Site) pools() []span {
	var spans []span
	for _, o := range s.kinds(metallbAPI, "IPAddressPool") {
		for i, text := range textsAt(o.Object, "spec", "addresses") {
			if first, last, err := parseSpan(text); err == nil {
				spans = append(spans, span{first, last, o, strconv.Itoa(i)})
			}
		}
	}
	return spans
}

// poolsKnown says whether all pools of a site are rendered: some of the site's Kustomizations
// may not have been.
func (s *Site) poolsKnown() bool {
	return len(s.kinds(metallbAPI, "IPAddressPool")) > 0 &&
		!slices.ContainsFunc(s.Render.Kustomizations, func(k *render.Kustomization) bool { return !k.Built && k.Source != nil && k.Source.Local })
}

// metallbReleases returns the site's releases of MetalLB whose values could be read.
func (s *Site) metallbReleases() []*render.Release {
	return slices.DeleteFunc(slices.Clone(s.Render.Releases), func(r *render.Release) bool { return r.Object == nil || r.Chart.Name != "metallb" })
}

// poolExample is an example: another pools.yaml of MetalLB.
func poolExample(addresses string) string {
	return overlay("kubernetes/flux/apps/metallb/config/pools.yaml", `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: public
  namespace: metallb-system
spec:
  addresses:
`+indent(addresses, 4)+`---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: mesh
  namespace: metallb-system
spec:
  addresses:
    - ${mesh_api_address}/32
  autoAssign: false
`)
}

// advertisementExample is an example: another advertisement.yaml of MetalLB.
func advertisementExample(kind, spec string) string {
	return overlay("kubernetes/flux/apps/metallb/config/advertisement.yaml", `
apiVersion: metallb.io/v1beta1
kind: `+kind+`
metadata:
  name: all
  namespace: metallb-system
spec:
`+indent(spec, 2))
}
