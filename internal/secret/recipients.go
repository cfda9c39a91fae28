package secret

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"archipel/internal/fleet"
)

// readerPrefix names people who open the files of one site.
const readerPrefix = "reader_"

// AddRecipient lets a key read: every file, or those of one site when site is
// not nil. The files follow with Rotator.Recipients.
func AddRecipient(s *Store, name, recipient string, site *fleet.Site) error {
	rules, err := LoadRules(s)
	if err != nil {
		return err
	}
	if !rules.Exists() {
		return errors.New("there is no " + RulesFile + " yet")
	}
	if name == "" {
		return errors.New("a recipient needs a name")
	}
	prefix := operatorPrefix
	if site != nil {
		prefix = readerPrefix
	}
	if err := rules.AddKey(prefix+strings.TrimPrefix(name, prefix), recipient); err != nil {
		return err
	}
	if site != nil {
		for _, file := range []string{FluxFile(site.Name, meshCA), AnsibleFile(site.Name)} {
			if err := rules.Let(file, recipient); err != nil {
				return err
			}
		}
	} else if err := rules.letAll(recipient); err != nil {
		return err
	}
	_, err = rules.Save(s)
	return err
}

// letAll adds a recipient to every rule.
func (r *Rules) letAll(recipient string) error {
	for _, rule := range r.field("creation_rules").Content {
		list, err := readers(rule)
		if err != nil {
			return err
		}
		list.Content = append(list.Content, r.reference(recipient))
	}
	r.changed = true
	return nil
}

// RemoveRecipient takes a key, by its name or its recipient, out of all rules.
// The files follow with Rotator.Recipients, which gives them new data keys.
func RemoveRecipient(s *Store, keys *Identities, who string) (RecipientName, error) {
	rules, err := LoadRules(s)
	if err != nil {
		return RecipientName{}, err
	}
	var found []RecipientName
	for _, known := range rules.Names() {
		if who == known.Recipient || who == known.Name || operatorPrefix+who == known.Name || readerPrefix+who == known.Name {
			found = append(found, known)
		}
	}
	if len(found) != 1 {
		var known []string
		for _, n := range rules.Names() {
			known = append(known, n.Label())
		}
		return RecipientName{}, fmt.Errorf("%s names %d recipients as %q: it has %s", RulesFile, len(found), who, strings.Join(known, ", "))
	}
	if site := found[0].SiteOf(); site != "" {
		return RecipientName{}, fmt.Errorf("%s is the key with which Flux decrypts at %s: archipel secret rotate --generated sops-age %s replaces it", found[0].Name, site, site)
	}
	left := slices.DeleteFunc(names(rules.Operators()), func(r string) bool { return r == found[0].Recipient })
	if !keys.Opens(left) {
		return RecipientName{}, fmt.Errorf("without %s none of your identities opens anything: let another operator remove it", found[0].Name)
	}
	if err := rules.Drop(found[0].Recipient); err != nil {
		return RecipientName{}, err
	}
	_, err = rules.Save(s)
	return found[0], err
}
