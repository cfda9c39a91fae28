package check

// workloadRules are about the security of pods.
func workloadRules() []Rule {
	return []Rule{}
}
