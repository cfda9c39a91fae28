package check

import (
	"strconv"
	"strings"

	"archipel/internal/finding"
)

func secretInEnvironment() Rule {
	return Rule{
		ID: "secret-in-environment", Group: Workloads, Severity: finding.Warning,
		Summary: "A variable of a container whose name says that it is secret has a value in the manifest.",
		Reason: "Whoever may read the Deployment reads the secret, and so does everybody who may read Git or the release " +
			"(https://kubernetes.io/docs/concepts/configuration/secret/). Names, paths, addresses, switches and empty values are no secrets.",
		Bad:    containerExample("env:\n  - name: DATABASE_PASSWORD\n    value: \"correct horse battery\"\n"),
		Good:   containerExample("env:\n  - name: DATABASE_PASSWORD_FILE\n    value: /run/secrets/database\n"),
		Covers: []string{"kube-linter env-var-secret"},
		Site: eachContainer(func(_ *workload, c *container) *flaw {
			for i, variable := range listAt(c.spec, "env") {
				name := textAt(variable, "name")
				if value := textAt(variable, "value"); value != "" && secretName(name) && !harmless(value) {
					return &flaw{[]string{"env", strconv.Itoa(i)}, "put the value into an encrypted Secret, and mount that as a file", "has the value of " + name + " in its manifest"}
				}
			}
			return nil
		}),
	}
}

// secretName says whether a variable's name ends as that of a secret does: what a _FILE, a
// _NAME or a _TTL of it says is none.
func secretName(name string) bool {
	name = strings.ToUpper(name)
	for _, end := range []string{"SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "TOKEN", "API_KEY", "APIKEY", "ACCESS_KEY", "SECRET_KEY", "PRIVATE_KEY", "CREDENTIALS"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// harmless says whether a value cannot be secret: a switch, a number, a path, an address, or
// a variable that Kubernetes puts in.
func harmless(value string) bool {
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		return true
	}
	switch strings.ToLower(value) {
	case "true", "false", "yes", "no", "on", "off":
		return true
	}
	return strings.HasPrefix(value, "/") || strings.HasPrefix(value, "$(") || strings.HasPrefix(value, "https://") && !strings.Contains(value, "@")
}
