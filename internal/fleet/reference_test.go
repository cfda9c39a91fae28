package fleet

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"archipel/internal/archtest"
)

func TestGeneratedFacts(t *testing.T) {
	archtest.Generated(t, filepath.Join(checkout, "docs", "reference", "facts.md"), factsPage(t), *update)
}

// factsPage is the reference of the facts, in Markdown.
func factsPage(t *testing.T) []byte {
	t.Helper()
	var page bytes.Buffer
	page.WriteString(`# Facts

Variables of the Ansible inventories that archipel reads. A fact holds for a whole site. One that all sites share is stated in
` + "`kubernetes/ansible/inventories/fleet.yml`" + ` (below ` + "`all: vars:`" + `), any other in the site's own
` + "`kubernetes/ansible/inventories/<site>/group_vars/all/main.yml`" + `, which wins. [facts.schema.json](facts.schema.json) is the JSON Schema for editors.

This page is generated: ` + "`make generate`" + ` writes it.

| fact | type | stated in | required | meaning | example |
|---|---|---|---|---|---|
`)
	for _, f := range facts() {
		where := "site"
		if f.shared {
			where = "fleet.yml"
		}
		required := "yes"
		if f.optional {
			required = "no: " + f.absent
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s | `%s` |\n", f.name, typeName(t, f), where, required, cell(f.description), f.example)
	}
	page.WriteString(`
## Variables of a node

| variable | type | required | meaning | example |
|---|---|---|---|---|
| ` + "`ansible_host`" + ` | IPv4 address or name | no: the node's name | Where Ansible connects to. | ` + "`198.51.100.11`" + ` |
| ` + "`node_ip`" + ` | IPv4 address | no: ` + "`ansible_host`" + `, which must then be an address | The address that the other nodes and sites reach: the node's InternalIP. | ` + "`198.51.100.11`" + ` |
| ` + "`wireguard_endpoint`" + ` | host:port, or a host | no: the node's address and port 51820 | Where the gateways of the other sites reach this one, for example the public side of a NAT. | ` + "`vpn.example.org:51820`" + ` |
`)
	return page.Bytes()
}

// typeName is the type of a fact in words.
func typeName(t *testing.T, f fact) string {
	t.Helper()
	switch f.field(&Facts{}).(type) {
	case *string:
		if f.pattern == nil {
			return "one of `" + strings.Join(f.choices, "`, `") + "`"
		}
		return cell(f.form)
	case *int:
		var ranges []string
		for _, b := range f.numbers {
			if b.first == b.last {
				ranges = append(ranges, fmt.Sprint(b.first))
			} else {
				ranges = append(ranges, fmt.Sprintf("%d to %d", b.first, b.last))
			}
		}
		return "number: " + strings.Join(ranges, " or ")
	case *netip.Addr:
		return "IPv4 address"
	case *netip.Prefix:
		return "IPv4 network, address/length"
	case *[]Range:
		return "list of IPv4 ranges, first-last or address/length"
	}
	t.Fatalf("%s has a type without a name", f.name)
	return ""
}

// cell escapes what would end a cell of a table or begin a tag.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`).Replace(text)
}
