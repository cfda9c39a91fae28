package check

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"archipel/internal/finding"
	"archipel/internal/render"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func metallbAggregationInvalid() Rule {
	return Rule{
		ID: "metallb-aggregation-invalid", Group: Kubernetes, Severity: finding.Error,
		Summary: "A BGPAdvertisement aggregates to networks larger than a pool that it announces.",
		Reason: "The site would announce addresses that belong to others; MetalLB's webhook refuses it (MetalLB, validateBGPAdvPerPool of internal/config; " +
			"https://metallb.io/configuration/_advanced_bgp_configuration/).",
		Bad:  advertisementExample("BGPAdvertisement", "ipAddressPools: [mesh]\naggregationLength: 24\n"),
		Good: advertisementExample("BGPAdvertisement", "ipAddressPools: [mesh]\naggregationLength: 32\n"),
		Site: func(s *Site) []finding.Finding {
			var found []finding.Finding
			for _, o := range s.kinds(metallbAPI, "BGPAdvertisement") {
				lengths := map[int]int64{32: 32, 128: 128} // by the bits of an address
				fields := map[int]string{32: "aggregationLength", 128: "aggregationLengthV6"}
				for bits, field := range fields {
					if n, ok := intAt(o.Object, "spec", field); ok {
						lengths[bits] = n
					}
				}
				refused := map[int]bool{}
				for _, pool := range s.pools() {
					bits := pool.first.BitLen()
					if !selects(o, pool.pool) || refused[bits] {
						continue
					}
					if shortest := longestNetwork(pool); lengths[bits] < shortest {
						refused[bits] = true
						found = append(found, problem(s.At(o, "spec", fields[bits]), fmt.Sprintf("set it to %d or more", shortest),
							"%s aggregates to /%d, but %s of pool %s is a /%d", named(o), lengths[bits], pool, pool.pool.GetName(), shortest))
					}
				}
			}
			return found
		},
	}
}

// longestNetwork returns the prefix length of the largest network within a range.
func longestNetwork(a span) int64 {
	for bits := range a.first.BitLen() {
		// The network of this size that holds first begins at or before it; the next one may fit.
		network := netip.PrefixFrom(a.first, bits).Masked()
		if network.Addr() == a.first && lastOf(network).Compare(a.last) <= 0 {
			return int64(bits)
		}
		next := lastOf(network).Next()
		if next.IsValid() && next.Compare(a.last) <= 0 && lastOf(netip.PrefixFrom(next, bits)).Compare(a.last) <= 0 {
			return int64(bits)
		}
	}
	return int64(a.first.BitLen())
}

func lastOf(network netip.Prefix) netip.Addr {
	_, last, _ := parseSpan(network.String())
	return last
}

// selects says whether an advertisement announces a pool.
func selects(advertisement, pool *render.Object) bool {
	names, selectors := textsAt(advertisement.Object, "spec", "ipAddressPools"), listAt(advertisement.Object, "spec", "ipAddressPoolSelectors")
	if len(names) == 0 && len(selectors) == 0 || slices.Contains(names, pool.GetName()) {
		return true
	}
	return slices.ContainsFunc(selectors, func(selector any) bool { return selectorMatches(selector, pool.GetLabels()) })
}

// selectorMatches says whether a label selector selects these labels.
func selectorMatches(selector any, of map[string]string) bool {
	var parsed metav1.LabelSelector
	text, err := json.Marshal(selector)
	if err != nil || json.Unmarshal(text, &parsed) != nil {
		return false
	}
	s, err := metav1.LabelSelectorAsSelector(&parsed)
	return err == nil && s.Matches(labels.Set(of))
}
