package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/getsops/sops/v3"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"go.yaml.in/yaml/v3"
)

// RulesFile says who can read which file. It is SOPS's own configuration, at the
// repository's root.
const RulesFile = ".sops.yaml"

// The names of recipients say what they are: operator_<name> opens everything,
// site_<site> the files that Flux decrypts at that site.
const (
	operatorPrefix = "operator_"
	sitePrefix     = "site_"
)

// Rules are the rules of a repository. They are matched by SOPS's own code, and
// edited as the YAML document that they are, so that comments stay.
type Rules struct {
	dir      string
	before   []byte // what the file holds; nil when there is none
	document *yaml.Node
	changed  bool // a file that nothing changes is not formatted anew either
}

// Rule says how one file is encrypted.
type Rule struct{ config *config.Config }

// RecipientName is a recipient as the rules name it.
type RecipientName struct {
	Name      string `json:"name"` // "" when the rules do not name it
	Recipient string `json:"recipient"`
}

// LoadRules reads the rules; Exists says whether there are any.
func LoadRules(s *Store) (*Rules, error) {
	data, err := s.Read(RulesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return &Rules{dir: s.dir}, nil
	}
	if err != nil {
		return nil, err
	}
	rules := &Rules{dir: s.dir, before: data, document: &yaml.Node{}}
	if privateKey.Match(data) {
		return nil, fmt.Errorf("%s holds a private age key: it takes public halves (age1...) only; replace that key, it is no longer private", RulesFile)
	}
	if err := yaml.Unmarshal(data, rules.document); err != nil {
		return nil, fmt.Errorf("reading %s: %w", RulesFile, err)
	}
	if len(rules.document.Content) != 1 || rules.document.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("reading %s: it is no mapping", RulesFile)
	}
	return rules, nil
}

var privateKey = regexp.MustCompile(`AGE-SECRET-KEY-`)

// Exists says whether the repository has rules.
func (r *Rules) Exists() bool { return r.before != nil }

// NewRules makes the rules of a repository that has none.
func (r *Rules) NewRules() {
	r.document, r.changed = &yaml.Node{}, true
	// Errors only when the text is no YAML.
	_ = yaml.Unmarshal([]byte(`# Who can read which encrypted file, for SOPS and archipel. An operator opens all of them, a
# site's key those that Flux decrypts there. archipel secret recipients changes this file.
keys: []
creation_rules: []
stores:
  yaml:
    indent: 2
`), r.document)
}

// RuleError says that no rule covers a file, or that its rule is of no use.
type RuleError struct{ File, Reason string }

func (e *RuleError) Error() string { return fmt.Sprintf("%s: %s: %s", RulesFile, e.File, e.Reason) }

// For returns the rule of a file. The error is a *RuleError.
func (r *Rules) For(name string) (Rule, error) {
	if !r.Exists() {
		return Rule{}, &RuleError{name, "there are no rules yet"}
	}
	found, err := config.LoadCreationRuleForFile(filepath.Join(r.dir, RulesFile), filepath.Join(r.dir, filepath.FromSlash(name)), nil)
	switch {
	case err != nil && strings.Contains(err.Error(), "no matching creation rules"), err == nil && found == nil:
		return Rule{}, &RuleError{name, "no rule is for this file"}
	case err != nil:
		return Rule{}, &RuleError{name, strings.TrimPrefix(err.Error(), "error loading config: ")}
	case len(found.KeyGroups) != 1:
		return Rule{}, &RuleError{name, "archipel writes files of one key group only"}
	}
	for _, key := range found.KeyGroups[0] {
		age, ok := key.(*sopsage.MasterKey)
		if !ok {
			return Rule{}, &RuleError{name, "archipel encrypts for age recipients only"}
		}
		if err := checkRecipient(age.Recipient); err != nil {
			return Rule{}, &RuleError{name, err.Error()}
		}
	}
	if len(found.KeyGroups[0]) == 0 {
		return Rule{}, &RuleError{name, "its rule names nobody who can read it"}
	}
	return Rule{found}, nil
}

// checkRecipient refuses what is no public half of an age key. A plugin's
// recipient would start a program.
func checkRecipient(recipient string) error {
	if privateKey.MatchString(recipient) {
		return errors.New("that is a private key: give its public half (age1...), and replace the key, which is no longer private")
	}
	plugin := strings.HasPrefix(recipient, "age1") && !strings.HasPrefix(recipient, "age1pq1") && strings.Count(recipient, "1") > 1
	if plugin || !strings.HasPrefix(recipient, "age1") {
		return errors.New("a recipient is the public half of an age key (age1...)")
	}
	if _, err := sopsage.MasterKeyFromRecipient(recipient); err != nil {
		return fmt.Errorf("%s is no age recipient: a character is missing or wrong", recipient)
	}
	return nil
}

// Recipients returns who can open a file of this rule.
func (r Rule) Recipients() []string { return recipientsOf(r.config.KeyGroups) }

// groups returns keys of its own, because each file keeps its data key in them.
func (r Rule) groups() []sops.KeyGroup {
	var group sops.KeyGroup
	for _, recipient := range r.Recipients() {
		if key, err := sopsage.MasterKeyFromRecipient(recipient); err == nil { // For has checked them
			group = append(group, key)
		}
	}
	return []sops.KeyGroup{group}
}

func (r Rule) metadata() sops.Metadata {
	m := sops.Metadata{
		KeyGroups:         r.groups(),
		UnencryptedSuffix: r.config.UnencryptedSuffix, EncryptedSuffix: r.config.EncryptedSuffix,
		UnencryptedRegex: r.config.UnencryptedRegex, EncryptedRegex: r.config.EncryptedRegex,
		UnencryptedCommentRegex: r.config.UnencryptedCommentRegex, EncryptedCommentRegex: r.config.EncryptedCommentRegex,
		MACOnlyEncrypted: r.config.MACOnlyEncrypted,
	}
	if m.UnencryptedSuffix+m.EncryptedSuffix+m.UnencryptedRegex+m.EncryptedRegex+m.UnencryptedCommentRegex+m.EncryptedCommentRegex == "" {
		m.UnencryptedSuffix = sops.DefaultUnencryptedSuffix // as the program sops
	}
	return m
}

// Follows says whether a file encrypts what its rule asks for.
func (r Rule) Follows(f *File) bool {
	want, have := r.metadata(), f.tree.Metadata
	return want.EncryptedRegex == have.EncryptedRegex && want.UnencryptedRegex == have.UnencryptedRegex &&
		want.EncryptedSuffix == have.EncryptedSuffix && want.UnencryptedSuffix == have.UnencryptedSuffix
}

// Names returns the recipients that the rules give a name to, in their order:
// by an anchor, else by the comment on its line.
func (r *Rules) Names() []RecipientName {
	if r.document == nil {
		return nil
	}
	var names []RecipientName
	var walk func(node *yaml.Node)
	walk = func(node *yaml.Node) {
		if node.Kind == yaml.ScalarNode && strings.HasPrefix(node.Value, "age1") && !strings.Contains(node.Value, ",") {
			name := node.Anchor
			if name == "" {
				name = strings.TrimSpace(strings.TrimLeft(node.LineComment, "# "))
			}
			known := slices.IndexFunc(names, func(n RecipientName) bool { return n.Recipient == node.Value })
			if known < 0 && name != "" {
				names = append(names, RecipientName{name, node.Value})
			}
		}
		for _, child := range node.Content {
			walk(child)
		}
	}
	walk(r.document)
	return names
}

// Name returns a recipient as the rules name it.
func (r *Rules) Name(recipient string) RecipientName {
	for _, known := range r.Names() {
		if known.Recipient == recipient {
			return known
		}
	}
	return RecipientName{Recipient: recipient}
}

// Label is the name of a recipient, or what can be seen of one without a name.
func (n RecipientName) Label() string {
	if n.Name != "" {
		return n.Name
	}
	if len(n.Recipient) > 12 {
		return n.Recipient[:12] + "..."
	}
	return n.Recipient
}

// Operators returns the recipients that open every file.
func (r *Rules) Operators() []RecipientName {
	return slices.DeleteFunc(r.Names(), func(n RecipientName) bool { return !strings.HasPrefix(n.Name, operatorPrefix) })
}

// OfSite returns the recipients of a site: one, and two while its key changes.
func (r *Rules) OfSite(site string) []RecipientName {
	return slices.DeleteFunc(r.Names(), func(n RecipientName) bool {
		return n.Name != sitePrefix+site && !strings.HasPrefix(n.Name, sitePrefix+site+"_")
	})
}

// SiteOf returns the site whose key a recipient is, "" when it is none.
func (n RecipientName) SiteOf() string {
	site, ok := strings.CutPrefix(n.Name, sitePrefix)
	if !ok {
		return ""
	}
	site, _, _ = strings.Cut(site, "_") // names of sites have no _
	return site
}

// field returns a list of the document's top, which it makes when it is missing.
func (r *Rules) field(name string) *yaml.Node {
	top := r.document.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value == name {
			list := top.Content[i+1]
			if list.Kind == yaml.SequenceNode {
				list.Style = 0
			}
			return list
		}
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	top.Content = append(top.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, list)
	return list
}

// AddKey names a recipient, so that rules can refer to it.
func (r *Rules) AddKey(name, recipient string) error {
	if err := checkRecipient(recipient); err != nil {
		return err
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString(name) {
		return fmt.Errorf("%q cannot be the name of a recipient: use letters, digits, - and _", name)
	}
	for _, known := range r.Names() {
		if known.Name == name {
			return fmt.Errorf("%s names %s already", RulesFile, name)
		}
		if known.Recipient == recipient {
			return fmt.Errorf("%s names this recipient already: %s", RulesFile, known.Name)
		}
	}
	keys := r.field("keys")
	if keys.Kind != yaml.SequenceNode {
		return fmt.Errorf("%s: keys is no list", RulesFile)
	}
	keys.Content = append(keys.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: recipient, Anchor: name})
	r.changed = true
	return nil
}

// key returns the node that names a recipient.
func (r *Rules) key(recipient string) *yaml.Node {
	for _, node := range r.field("keys").Content {
		if node.Kind == yaml.ScalarNode && node.Value == recipient {
			return node
		}
	}
	return nil
}

// AddRule adds a rule at the end. fields is what to encrypt, "" for all values.
func (r *Rules) AddRule(pattern, fields string, recipients []string) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, recipient := range recipients {
		list.Content = append(list.Content, r.reference(recipient))
	}
	text := func(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value} }
	rule := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{text("path_regex"), text(pattern)}}
	if fields != "" {
		rule.Content = append(rule.Content, text("encrypted_regex"), text(fields))
	}
	rule.Content = append(rule.Content, text("age"), list)
	rules := r.field("creation_rules")
	rules.Content = append(rules.Content, rule)
	r.changed = true
}

func (r *Rules) reference(recipient string) *yaml.Node {
	if key := r.key(recipient); key != nil && key.Anchor != "" {
		return &yaml.Node{Kind: yaml.AliasNode, Value: key.Anchor, Alias: key}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: recipient}
}

// covers returns the document's rule for a file; nil when there is none.
func (r *Rules) covers(name string) *yaml.Node {
	if r.document == nil {
		return nil
	}
	for _, rule := range r.field("creation_rules").Content {
		pattern := value(rule, "path_regex")
		if pattern == nil {
			return rule
		}
		if matcher, err := regexp.Compile(pattern.Value); err == nil && matcher.MatchString(name) {
			return rule
		}
	}
	return nil
}

func value(mapping *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// readers returns the list of age recipients of a rule.
func readers(rule *yaml.Node) (*yaml.Node, error) {
	list := value(rule, "age")
	if groups := value(rule, "key_groups"); list == nil && groups != nil && len(groups.Content) == 1 {
		list = value(groups.Content[0], "age")
	}
	if list == nil || list.Kind == yaml.AliasNode {
		return nil, fmt.Errorf("%s: line %d: a rule without a list of age recipients: edit it by hand", RulesFile, rule.Line)
	}
	if list.Kind == yaml.ScalarNode { // "age1..., age1..."
		list.Kind, list.Tag, list.Style = yaml.SequenceNode, "", 0
		for one := range strings.SplitSeq(list.Value, ",") {
			list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.TrimSpace(one)})
		}
		list.Value = ""
	}
	return list, nil
}

func resolved(node *yaml.Node) string {
	if node.Kind == yaml.AliasNode {
		return node.Alias.Value
	}
	return node.Value
}

// Let adds a recipient to the rule of a file.
func (r *Rules) Let(name, recipient string) error {
	rule := r.covers(name)
	if rule == nil {
		return &RuleError{name, "no rule is for this file"}
	}
	list, err := readers(rule)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list.Content, func(n *yaml.Node) bool { return resolved(n) == recipient }) {
		list.Content = append(list.Content, r.reference(recipient))
		r.changed = true
	}
	return nil
}

// Drop takes a recipient out of all rules, and its name. A rule that would be
// left without a recipient is an error.
func (r *Rules) Drop(recipient string) error {
	is := func(n *yaml.Node) bool { return resolved(n) == recipient }
	for _, rule := range r.field("creation_rules").Content {
		list, err := readers(rule)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(list.Content, is) && len(list.Content) == 1 {
			return fmt.Errorf("%s: %s would be left without anybody who can read it", RulesFile, value(rule, "path_regex").Value)
		}
		list.Content = slices.DeleteFunc(list.Content, is)
	}
	keys := r.field("keys")
	keys.Content = slices.DeleteFunc(keys.Content, is)
	r.changed = true
	return nil
}

// Rename gives a recipient another name.
func (r *Rules) Rename(recipient, name string) {
	if key := r.key(recipient); key != nil {
		for _, rule := range r.field("creation_rules").Content {
			if list, err := readers(rule); err == nil {
				for _, node := range list.Content {
					if node.Kind == yaml.AliasNode && node.Alias == key {
						node.Value = name
					}
				}
			}
		}
		key.Anchor = name
		r.changed = true
	}
}

// Save writes the rules when they have changed, and says whether they have.
func (r *Rules) Save(s *Store) (bool, error) {
	if !r.changed {
		return false, nil
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(r.document), encoder.Close()); err != nil {
		return false, fmt.Errorf("writing %s: %w", RulesFile, err)
	}
	if err := s.Replace(RulesFile, r.before, text.Bytes()); err != nil {
		return false, err
	}
	r.before, r.changed = text.Bytes(), false
	return true, nil
}
