package check

import (
	"bytes"
	"regexp"

	"archipel/internal/finding"
)

func secretPrivateKey() Rule {
	begin := "-----BEGIN " // the whole would be taken for a key by whatever searches for keys
	return Rule{
		ID: "secret-private-key", Group: Secrets, Severity: finding.Error,
		Summary: "A file holds a private key.",
		Reason: "Whoever can read the repository, now or ever, has the key. Removing the file does not help, because Git keeps it: replace the key " +
			"(https://age-encryption.org; RFC 7468).",
		Bad:  overlay("kubernetes/flux/apps/whoami/key.txt", begin+"PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIExample\n"),
		Good: overlay("kubernetes/flux/apps/whoami/key.txt", begin+"PUBLIC KEY-----\nMCowBQYDK2VwAyEAExample\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			key := regexp.MustCompile(`AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]{20}|` + begin + `[A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----`)
			var found []finding.Finding
			for _, name := range f.Files {
				data, err := f.Read(name)
				if err != nil {
					continue // too large to hold nothing but a key, or reported already
				}
				for _, at := range key.FindAllIndex(data, 10) {
					line := bytes.Count(data[:at[0]], []byte("\n"))
					column := at[0] - bytes.LastIndexByte(data[:at[0]], '\n')
					found = append(found, veiled(problem(finding.Position{File: name, Line: line + 1, Column: column}, "replace the key everywhere, then remove it here", "this is a private key")))
				}
			}
			return found
		},
	}
}
