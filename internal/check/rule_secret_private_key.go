package check

import (
	"archipel/internal/finding"
	"archipel/internal/guard"
)

func secretPrivateKey() Rule {
	begin := "-----BEGIN " // the whole would be taken for a key by whatever searches for keys
	return Rule{
		ID: guard.RulePrivateKey, Group: Secrets, Severity: finding.Error,
		Summary: "A file holds a private key.",
		Reason: "Whoever can read the repository, now or ever, has the key. Removing the file does not help, because Git keeps it: replace the key " +
			"(https://age-encryption.org; RFC 7468; https://www.wireguard.com/quickstart/).",
		Bad:   overlay("kubernetes/flux/apps/whoami/key.txt", begin+"PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIExample\n"),
		Good:  overlay("kubernetes/flux/apps/whoami/key.txt", begin+"PUBLIC KEY-----\nMCowBQYDK2VwAyEAExample\n"),
		Fleet: inEveryFile(guard.PrivateKeys),
	}
}

// inEveryFile makes a rule's function of one that looks at what a file holds.
func inEveryFile(look func(name string, data []byte) []finding.Finding) func(*Fleet) []finding.Finding {
	return func(f *Fleet) []finding.Finding {
		var found []finding.Finding
		for _, name := range f.Files {
			if data, err := f.Read(name); err == nil { // else it is reported already, or too large to be a key
				found = append(found, look(name, data)...)
			}
		}
		return found
	}
}
