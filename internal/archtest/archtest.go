// Package archtest holds the tests that keep the repository to its architecture.
package archtest
