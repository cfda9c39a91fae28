package fleet

import (
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

func TestGateways(t *testing.T) {
	const head = "-- inventories/site-a/hosts.yml --\nall:\n  children:\n    servers:\n      hosts:\n        a: {ansible_host: 198.51.100.11}\n" +
		"        b: {ansible_host: 198.51.100.12}\n        d: {ansible_host: 198.51.100.14}\n    agents:\n      hosts:\n        c: {ansible_host: 198.51.100.13}\n"
	for hosts, want := range map[string][]string{
		head: {"a"},
		head + "    gateways:\n      hosts:\n        c:\n        b:\n": {"c", "b"},
		head + "    gateways:\n": {"a"},
	} {
		f, findings := Load(repository(t, txtar.Parse([]byte(hosts))))
		if site, _ := f.Site("site-a"); !slices.Equal(site.Gateways, want) {
			t.Errorf("%s\ngot %v, want %v; %v", hosts, site.Gateways, want, findings)
		}
	}
}
