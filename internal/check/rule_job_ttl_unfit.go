package check

import (
	"archipel/internal/finding"
)

func jobTTLUnfit() Rule {
	return Rule{
		ID: "job-ttl-unfit", Group: Workloads, Severity: finding.Warning,
		Summary: "A finished Job stays for ever, or is deleted by somebody who should not.",
		Reason: "A Job of a chart that is no hook stays with its pods, and what they hold, until the next release unless ttlSecondsAfterFinished is set " +
			"(https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/). Flux makes a Job of Git anew, and runs it again, each time that the limit deleted it " +
			"(https://fluxcd.io/flux/components/kustomize/kustomizations/). A CronJob has limits of its history instead.",
		Bad:    inWhoami(jobExample("ttlSecondsAfterFinished: 600\n")),
		Good:   inWhoami(jobExample("")),
		Covers: []string{"kube-linter job-ttl-seconds-after-finished"},
		Site: eachWorkload(func(_ *Site, w *workload) *flaw {
			ttl := valueAt(w.Object.Object, "spec", "ttlSecondsAfterFinished")
			release := w.Origin.Release
			switch {
			case w.GetKind() == "CronJob" && valueAt(w.Object.Object, "spec", "jobTemplate", "spec", "ttlSecondsAfterFinished") != nil:
				return &flaw{[]string{"spec", "jobTemplate", "spec", "ttlSecondsAfterFinished"}, "leave it out, and set successfulJobsHistoryLimit and failedJobsHistoryLimit", "deletes its Jobs before its limits of history do"}
			case w.GetKind() != "Job" || w.Origin.Hook:
			case release == nil && ttl != nil:
				return &flaw{[]string{"spec", "ttlSecondsAfterFinished"}, "leave it out", "is deleted when it has finished, and Flux then makes and runs it again"}
			case release != nil && ttl == nil && (release.Object == nil || textAt(release.Object.Object, "spec", "driftDetection", "mode") != "enabled"):
				return &flaw{[]string{"spec", "ttlSecondsAfterFinished"}, "set ttlSecondsAfterFinished", "stays with its pods when it has finished"}
			}
			return nil
		}),
	}
}

// jobExample is a Job with fields.
func jobExample(spec string) string {
	return `
apiVersion: batch/v1
kind: Job
metadata:
  name: example
  namespace: whoami
spec:
` + indented(spec, 2) + `  template:
    spec:
      restartPolicy: Never
      containers:
        - name: example
          image: registry.example.org/example:1.0.0
`
}
