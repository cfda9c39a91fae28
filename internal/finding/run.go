package finding

// Run is what the printers for other programs say of a run beside its findings.
type Run struct {
	Name    string // of the command: "archipel lint"
	Version string // of archipel
	Rules   []Rule // that ran, and of which findings may be
	Skipped []Skipped
}

// Rule is what a finding's rule looks for.
type Rule struct {
	ID       string
	Group    string
	Severity Severity
	Summary  string // one sentence
	Reason   string // one paragraph
	Help     string // URL of its documentation; empty when there is none
}

// Skipped is a reason for which something was not looked at.
type Skipped struct {
	Code   string // noun-problem
	Reason string // one line
	Count  int
}
