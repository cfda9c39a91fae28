package check

import (
	"strings"

	"archipel/internal/finding"
	"archipel/internal/guard"
)

func secretToken() Rule {
	token := "K10" + strings.Repeat("0", 64) + "::server:" // in parts, as the begin of a private key
	return Rule{
		ID: guard.RuleToken, Group: Secrets, Severity: finding.Error,
		Summary: "A file holds a token of k3s, GitHub or GitLab, or an access key of AWS.",
		Reason: "Whoever can read the repository, now or ever, has the token. With k3s's a machine joins the cluster, as a server too, which has all of its secrets " +
			"(https://docs.k3s.io/cli/token).",
		Bad:   overlay("kubernetes/flux/apps/whoami/join.txt", token+"example\n"),
		Good:  overlay("kubernetes/flux/apps/whoami/join.txt", "K10<hash of the CA>::server:<password>\n"),
		Fleet: inEveryFile(guard.Tokens),
	}
}
