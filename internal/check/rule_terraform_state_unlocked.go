package check

import "archipel/internal/finding"

func terraformStateUnlocked() Rule {
	return Rule{
		ID: "terraform-state-unlocked", Group: Terraform, Severity: finding.Error,
		Summary: "Nothing keeps two people from writing the same Terraform state.",
		Reason: "The S3 backend locks only with dynamodb_table or use_lockfile. Of two applies at the same time, one writes over what the other has made, and its machines are in no state " +
			"(https://developer.hashicorp.com/terraform/language/backend/s3#state-locking).",
		Bad:  overlay("kubernetes/terraform/backend.hcl", "bucket = \"archipel-state\"\nregion = \"us-east-1\"\n"),
		Good: overlay("kubernetes/terraform/backend.hcl", "bucket       = \"archipel-state\"\nregion       = \"us-east-1\"\nuse_lockfile = true\n"),
		Fleet: func(f *Fleet) []finding.Finding {
			var found []finding.Finding
			for _, c := range f.settings() {
				if c.body == nil {
					continue
				}
				_, bucket := c.body.Attributes["bucket"]
				lock := c.body.Attributes["use_lockfile"]
				if bucket && literal(c.body.Attributes["dynamodb_table"]) == "" && (lock == nil || isFalse(lock)) {
					found = append(found, problem(finding.Position{File: c.path, Line: 1, Column: 1}, "add use_lockfile = true, where the store honours conditional writes (archipel state doctor says), or dynamodb_table", "neither dynamodb_table nor use_lockfile locks the states"))
				}
			}
			return found
		},
	}
}
