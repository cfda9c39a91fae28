package check

import (
	"net/netip"
	"net/url"
	"strings"

	"archipel/internal/finding"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func terraformStateInsecure() Rule {
	return Rule{
		ID: "terraform-state-insecure", Group: Terraform, Severity: finding.Error,
		Summary: "Terraform's states go over the network in plaintext, or to a store that need not prove which it is.",
		Reason: "A state holds passwords and keys of what it describes. Whoever is on the way reads them, or gives back another state " +
			"(https://developer.hashicorp.com/terraform/language/state/sensitive-data).",
		Bad:  overlay("kubernetes/terraform/backend.hcl", "bucket       = \"archipel-state\"\nregion       = \"us-east-1\"\nuse_lockfile = true\n\nendpoints = {\n  s3 = \"http://s3.archipel.example\"\n}\n"),
		Good: overlay("kubernetes/terraform/backend.hcl", "bucket       = \"archipel-state\"\nregion       = \"us-east-1\"\nuse_lockfile = true\n\nendpoints = {\n  s3 = \"https://s3.archipel.example\"\n}\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			f.eachBackend(func(c *configuration, body *hclsyntax.Body) {
				for name, a := range body.Attributes {
					if name == "insecure" && !isFalse(a) {
						found = append(found, problem(c.place(a.NameRange), "remove it; custom_ca_bundle names a certificate authority of your own", "insecure takes any store for the right one"))
					}
					for _, address := range addresses(name, a) {
						if open(address) {
							found = append(found, problem(c.place(a.NameRange), "write https://", "%s is %s, which is not encrypted", name, address))
						}
					}
				}
			})
			return found
		},
	}
}

// addresses are the URLs that an attribute of a backend holds.
func addresses(name string, a *hclsyntax.Attribute) []string {
	if !strings.Contains(name, "endpoint") {
		return nil
	}
	v, diagnostics := a.Expr.Value(nil)
	if diagnostics.HasErrors() || v.IsNull() || !v.IsWhollyKnown() {
		return nil
	}
	if v.Type() == cty.String {
		return []string{v.AsString()}
	}
	var all []string
	if v.Type().IsObjectType() || v.Type().IsMapType() {
		for _, value := range v.AsValueMap() {
			if value.Type() == cty.String && !value.IsNull() {
				all = append(all, value.AsString())
			}
		}
	}
	return all
}

// open says whether a URL is not encrypted and leads off this machine.
func open(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback())
}

// isFalse says whether an attribute is false, as such or in quotes.
func isFalse(a *hclsyntax.Attribute) bool {
	v, diagnostics := a.Expr.Value(nil)
	if diagnostics.HasErrors() || v.IsNull() || !v.IsKnown() {
		return false
	}
	return v.Type() == cty.Bool && v.False() || v.Type() == cty.String && v.AsString() == "false"
}
