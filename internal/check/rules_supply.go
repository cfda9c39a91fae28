package check

// supplyRules are about where what runs comes from.
func supplyRules() []Rule {
	return []Rule{}
}
