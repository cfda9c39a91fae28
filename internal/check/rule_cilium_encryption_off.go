package check

import (
	"archipel/internal/finding"
)

func ciliumEncryptionOff() Rule {
	return Rule{
		ID: "cilium-encryption-off", Group: Network, Severity: finding.Warning,
		Summary: "Cilium does not encrypt what pods say to each other.",
		Reason: "Packets between sites, and between the nodes of one, can be read and changed on the way. There is no mixed mode: all sites encrypt or none " +
			"does, so it is decided before the second site (https://docs.cilium.io/en/stable/security/network/encryption-wireguard/).",
		Bad:  ciliumWith("encryption:\n  enabled: false\n"),
		Good: ciliumWith("encryption:\n  enabled: true\n  type: wireguard\n"),
		Site: ciliumSite(func(c *ciliumCheck) {
			switch {
			case !c.is("encryption.enabled", true):
				c.report("encryption.enabled", "set encryption.enabled to true and encryption.type to wireguard", "encryption.enabled is %s", c.shown("encryption.enabled"))
			case !c.is("encryption.type", "wireguard"):
				c.report("encryption.type", "set it to wireguard", "encryption.type is %s, and needs keys that nobody hands out", c.shown("encryption.type"))
			case c.is("encryption.nodeEncryption", true):
				c.report("encryption.nodeEncryption", "set it to false", "encryption.nodeEncryption is true, which Cilium calls beta")
			}
		}),
	}
}
