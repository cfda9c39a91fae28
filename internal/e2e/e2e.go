// Package e2e runs archipel against a real lab and breaks things.
package e2e
