package fleet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Range is a run of addresses, both ends included.
type Range struct{ First, Last netip.Addr }

// String returns the range as MetalLB and the inventories write it: "first-last".
func (r Range) String() string { return r.First.String() + "-" + r.Last.String() }

// Contains reports whether an address is in the range.
func (r Range) Contains(a netip.Addr) bool {
	return a.IsValid() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// Overlaps reports whether two ranges share an address.
func (r Range) Overlaps(o Range) bool {
	return r.First.Compare(o.Last) <= 0 && o.First.Compare(r.Last) <= 0
}

// span returns all addresses of an IPv4 network.
func span(p netip.Prefix) Range {
	first := p.Masked().Addr()
	return Range{first, plus(first, 1<<(32-p.Bits())-1)}
}

// plus adds to an IPv4 address; the caller stays below 255.255.255.255.
func plus(a netip.Addr, n uint32) netip.Addr {
	b := a.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+n)
	return netip.AddrFrom4(b)
}

// parseAddress reads an IPv4 address. All of a site's networking is IPv4.
func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 address", s)
	}
	return a, nil
}

// parsePrefix reads an IPv4 network in CIDR notation. The prefix may have host
// bits set: the caller says so in its own words.
func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("%q is not an IPv4 network in CIDR notation", s)
	}
	return p, nil
}

// parseRange reads "first-last" or a network. Spaces around the dash are
// allowed, as MetalLB allows them.
func parseRange(s string) (Range, error) {
	if strings.Contains(s, "/") {
		p, err := parsePrefix(s)
		if err != nil {
			return Range{}, err
		}
		return span(p), nil
	}
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		return Range{}, fmt.Errorf("%q is neither first-last nor a network in CIDR notation", s)
	}
	from, err := parseAddress(strings.TrimSpace(first))
	if err != nil {
		return Range{}, err
	}
	to, err := parseAddress(strings.TrimSpace(last))
	if err != nil {
		return Range{}, err
	}
	return Range{from, to}, nil
}
