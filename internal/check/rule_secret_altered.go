package check

import (
	"archipel/internal/finding"
)

// secretAltered documents what render finds.
func secretAltered() Rule {
	return Rule{
		ID: "secret-altered", Group: Secrets, Severity: finding.Warning,
		Summary: "The checksum of a file that SOPS encrypted does not fit what is in it.",
		Reason: "Somebody changed the file without sops. Flux takes it as it is, so the change is not protected by anybody's review of the value " +
			"(https://getsops.io/docs/#message-authentication-code). There is no example: it would need a private key.",
	}
}
