package check

import "archipel/internal/finding"

func factOverridden() Rule {
	return Rule{
		ID: "fact-overridden", Group: Inventory, Severity: finding.Error,
		Summary: "A fact is set beside the playbooks.",
		Reason: "Variables beside a playbook beat those of every inventory " +
			"(https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_variables.html#understanding-variable-precedence), so " +
			"that what the inventory says is not what runs.",
		Bad:  overlay("kubernetes/ansible/playbooks/group_vars/all.yml", "cluster_id: 9\n"),
		Good: overlay("kubernetes/ansible/playbooks/group_vars/all.yml", "ntp_server: ntp.example.org\n"),
	}
}
