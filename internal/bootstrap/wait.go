package bootstrap

import (
	"context"
	"errors"
	"regexp"
	"time"

	"archipel/internal/status"
)

// pollInterval is how often a site is looked at while it is waited for.
const pollInterval = 2 * time.Second

// Wait waits until all that Flux applies at a site is ready, and shows what it waits
// for and why. late says so in one line when the time is over before.
func Wait(ctx context.Context, target status.Target, timeout time.Duration, view View) (last status.Site, late string, err error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	view.Set(target.Name, "waiting for the API server")
	err = status.Watch(limited, []status.Target{target}, status.Options{}, pollInterval, func(s status.Snapshot) bool {
		last = s.Sites[0]
		late = waitsFor(last)
		if late == "" {
			view.Done(target.Name, "ready")
			return true
		}
		view.Set(target.Name, "waiting for "+late)
		return false
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return last, late, nil
	}
	return last, "", err
}

// waitsFor says in one line what a site waits for, "" for nothing.
func waitsFor(site status.Site) string {
	text := ""
	if waiting := site.Waiting(); len(waiting) > 0 {
		text = waiting[0]
	} else if site.State != status.Ready {
		text = string(site.State)
	} else if len(site.Kustomizations) == 0 {
		text = "Flux to apply its first Kustomization"
	}
	// As people write revisions: branch@1234567.
	return regexp.MustCompile(`@sha1:([0-9a-f]{7})[0-9a-f]{33}`).ReplaceAllString(text, "@$1")
}
