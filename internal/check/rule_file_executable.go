package check

import (
	"io/fs"
	"path"

	"archipel/internal/finding"
)

func fileExecutable() Rule {
	return Rule{
		ID: "file-executable", Group: Layout, Severity: finding.Warning,
		Summary: "A file that is read as data may be executed.",
		Reason: "Ansible runs an inventory that may be executed and has no ending, and a bit that means nothing elsewhere hides the " +
			"files where it does mean something.",
		Bad:  "executable: kubernetes/flux/apps/whoami/ks.yaml\n",
		Good: "",
		Fleet: func(f *Fleet) []finding.Finding {
			var findings []finding.Finding
			for _, file := range f.Files {
				switch path.Ext(file) {
				case ".yaml", ".yml", ".json", ".tf", ".tfvars", ".md", ".j2", ".tpl":
				default:
					continue
				}
				if info, err := fs.Stat(f.FS, file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
					findings = append(findings, problem(finding.Position{File: file}, "chmod -x "+file, "the file may be executed, but is data"))
				}
			}
			return findings
		},
	}
}
