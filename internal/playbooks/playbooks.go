// Package playbooks holds the tests of kubernetes/ansible: what its templates write, and what wrong inputs say.
package playbooks
