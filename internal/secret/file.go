package secret

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/stores/yaml"
	"github.com/getsops/sops/v3/version"
)

// What is wrong with a SOPS file. The texts follow the file's name.
var (
	ErrNotEncrypted = errors.New("SOPS has not encrypted it")
	ErrUnreadable   = errors.New("it cannot be read as a SOPS file: it is cut off, or no longer in its format")
	ErrDamaged      = errors.New("a value was damaged after it was encrypted, or moved from elsewhere")
	ErrAltered      = errors.New("its checksum (MAC) does not match: it was edited without SOPS")
)

// File is one SOPS file. Its values are known once it is opened.
type File struct {
	Name   string // slash-separated, relative to the repository's root
	format Format
	tree   sops.Tree
	cipher aes.Cipher // remembers what it decrypted: a value that stays keeps its ciphertext
	opened bool
}

// ParseFile reads a SOPS file without opening it. The error is ErrNotEncrypted
// or ErrUnreadable.
func ParseFile(name string, data []byte) (file *File, err error) {
	defer malformed(name, &err)
	file = &File{Name: name, format: FormatOf(name), cipher: aes.NewCipher()}
	file.tree, err = store(file.format).LoadEncryptedFile(data)
	switch {
	case errors.Is(err, sops.MetadataNotFound) && !bytes.Contains(data, []byte("ENC[AES256_GCM,")):
		return nil, fmt.Errorf("%s: %w", name, ErrNotEncrypted)
	case err != nil || len(file.tree.Branches) == 0 || file.tree.Metadata.MasterKeyCount() == 0:
		return nil, fmt.Errorf("%s: %w", name, ErrUnreadable)
	}
	return file, nil
}

// malformed turns a panic of SOPS, which may carry a value, into an error.
func malformed(name string, err *error) {
	if recover() != nil {
		*err = fmt.Errorf("%s: %w", name, ErrUnreadable)
	}
}

// store returns SOPS's reader and writer of a format; YAML is indented as
// everywhere in the repository.
func store(format Format) sops.Store {
	if format == YAML {
		return yaml.NewStore(&config.YAMLStoreConfig{Indent: 2})
	}
	s, _ := storeOf(format).(sops.Store) // all of SOPS's stores are
	return s
}

// NewFile makes a SOPS file of plain content, encrypted as the rules say.
func NewFile(name string, plain []byte, rule Rule) (*File, error) {
	file := &File{Name: name, format: FormatOf(name), cipher: aes.NewCipher(), opened: true}
	if err := file.SetPlain(plain); err != nil {
		return nil, err
	}
	file.tree.Metadata = rule.metadata()
	if err := file.NewDataKey(); err != nil {
		return nil, err
	}
	return file, nil
}

// Recipients returns the age recipients that can open the file, in its order.
func (f *File) Recipients() []string { return recipientsOf(f.tree.Metadata.KeyGroups) }

func recipientsOf(groups []sops.KeyGroup) []string {
	var recipients []string
	for _, group := range groups {
		for _, key := range group {
			recipients = append(recipients, key.ToString())
		}
	}
	return recipients
}

// Modified is when a value was last written.
func (f *File) Modified() time.Time { return f.tree.Metadata.LastModified }

// Readable returns a text that stands in the file unencrypted, such as
// metadata/name of a manifest; "" when it is not there.
func (f *File) Readable(path ...string) string {
	text, _ := lookUp(f.tree.Branches[0], path).(string)
	return text
}

// Open decrypts the file in memory and verifies it. The error is ErrNoIdentity,
// ErrDamaged or ErrAltered.
func (f *File) Open(keys *Identities) (err error) {
	if f.opened {
		return nil
	}
	defer malformed(f.Name, &err)
	dataKey, err := f.dataKey(keys)
	if err != nil {
		return err
	}
	found, err := f.tree.Decrypt(dataKey, f.cipher)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, ErrDamaged)
	}
	stated, err := f.cipher.Decrypt(f.tree.Metadata.MessageAuthenticationCode, dataKey, f.tree.Metadata.LastModified.Format(time.RFC3339))
	if err != nil || stated != found {
		return fmt.Errorf("%s: %w", f.Name, ErrAltered)
	}
	f.opened = true
	return nil
}

func (f *File) dataKey(keys *Identities) ([]byte, error) {
	if keys.None() {
		return nil, fmt.Errorf("%s: %w", f.Name, ErrNoIdentity)
	}
	dataKey, err := f.tree.Metadata.GetDataKeyWithKeyServices([]keyservice.KeyServiceClient{
		keyservice.NewCustomLocalClient(&ageServer{keys: keys.parsed}),
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, ErrNoIdentity)
	}
	return dataKey, nil
}

// Plain returns the content of an opened file.
func (f *File) Plain() ([]byte, error) {
	plain, err := store(f.format).EmitPlainFile(f.tree.Branches)
	if err != nil { // it may quote a value
		return nil, fmt.Errorf("%s: its content cannot be written in its format", f.Name)
	}
	return plain, nil
}

// lineOf finds the number in an error of a parser, the rest of which may quote a
// value.
var lineOf = regexp.MustCompile(`\bline (\d+)`)

// SetPlain gives an opened file another content.
func (f *File) SetPlain(plain []byte) (err error) {
	defer malformed(f.Name, &err)
	s := store(f.format)
	branches, err := s.LoadPlainFile(plain)
	if err != nil {
		where := ""
		if line := lineOf.FindStringSubmatch(err.Error()); line != nil {
			where = " at line " + line[1]
		}
		return fmt.Errorf("%s: the content is not %s%s", f.Name, f.format, where)
	}
	if len(branches) == 0 || len(branches[0]) == 0 {
		return fmt.Errorf("%s: the content is empty", f.Name)
	}
	for _, branch := range branches {
		if s.HasSopsTopLevelKey(branch) {
			return fmt.Errorf("%s: the content has a key sops at its top, which SOPS keeps for itself: is it encrypted already?", f.Name)
		}
	}
	f.tree.Branches = branches
	return nil
}

// String names a format in a sentence.
func (f Format) String() string {
	return map[Format]string{Dotenv: "a list of variables", INI: "INI", JSON: "JSON", YAML: "YAML"}[f]
}

// Seal encrypts an opened file. It is then closed.
func (f *File) Seal() (_ []byte, err error) {
	defer malformed(f.Name, &err)
	dataKey := f.tree.Metadata.DataKey
	mac, err := f.tree.Encrypt(dataKey, f.cipher)
	if err != nil { // it may quote a value
		return nil, fmt.Errorf("%s: its content cannot be encrypted", f.Name)
	}
	f.opened = false
	// SOPS stores the checksum encrypted, with the time of the change as additional data.
	f.tree.Metadata.LastModified = time.Now().UTC()
	f.tree.Metadata.MessageAuthenticationCode, err = f.cipher.Encrypt(mac, dataKey, f.tree.Metadata.LastModified.Format(time.RFC3339))
	if err != nil {
		return nil, fmt.Errorf("%s: encrypting the checksum: %w", f.Name, err)
	}
	return f.emit()
}

func (f *File) emit() ([]byte, error) {
	f.tree.Metadata.Version = version.Version
	encrypted, err := store(f.format).EmitEncryptedFile(f.tree)
	if err != nil {
		return nil, fmt.Errorf("%s: it cannot be written as a SOPS file", f.Name)
	}
	return encrypted, nil
}

// Share encrypts the data key for the recipients of a rule and leaves all values
// as they are; the file need not be open.
func (f *File) Share(keys *Identities, rule Rule) (_ []byte, err error) {
	defer malformed(f.Name, &err)
	dataKey, err := f.dataKey(keys)
	if err != nil {
		return nil, err
	}
	f.tree.Metadata.KeyGroups = rule.groups()
	f.tree.Metadata.ShamirThreshold = 0
	if err := f.encryptDataKey(dataKey); err != nil {
		return nil, err
	}
	return f.emit()
}

// NewDataKey gives an opened file a new data key. Who knew the old one cannot
// read what is written from now on.
func (f *File) NewDataKey() error {
	f.cipher = aes.NewCipher()
	dataKey, errs := f.tree.GenerateDataKeyWithKeyServices(localAge())
	if len(errs) > 0 {
		return fmt.Errorf("%s: encrypting its data key: %w", f.Name, errs[0])
	}
	f.tree.Metadata.DataKey = dataKey
	return nil
}

func (f *File) encryptDataKey(dataKey []byte) error {
	if errs := f.tree.Metadata.UpdateMasterKeysWithKeyServices(dataKey, localAge()); len(errs) > 0 {
		return fmt.Errorf("%s: encrypting its data key: %w", f.Name, errs[0])
	}
	return nil
}

func localAge() []keyservice.KeyServiceClient {
	return []keyservice.KeyServiceClient{keyservice.NewLocalClient()}
}

// Follow takes over the recipients and the fields to encrypt of a rule.
func (f *File) Follow(rule Rule) {
	modified, mac, key := f.tree.Metadata.LastModified, f.tree.Metadata.MessageAuthenticationCode, f.tree.Metadata.DataKey
	f.tree.Metadata = rule.metadata()
	f.tree.Metadata.LastModified, f.tree.Metadata.MessageAuthenticationCode, f.tree.Metadata.DataKey = modified, mac, key
}

// OpenFile reads, opens and verifies a file, and returns what it holds on disk
// too, for WriteFile.
func OpenFile(s *Store, keys *Identities, name string) (*File, []byte, error) {
	data, err := s.Read(name)
	if err != nil {
		return nil, nil, err
	}
	f, err := ParseFile(name, data)
	if err != nil {
		return nil, nil, err
	}
	return f, data, f.Open(keys)
}

// WriteFile seals a file and opens it again, so that nothing is written that
// cannot be read, then replaces the one on disk, which must still hold before.
func WriteFile(s *Store, keys *Identities, f *File, before []byte) error {
	if err := f.exposes(); err != nil {
		return err
	}
	sealed, err := f.Seal()
	if err != nil {
		return err
	}
	again, err := ParseFile(f.Name, sealed)
	if err != nil {
		return err
	}
	if err := again.Open(keys); err != nil && !errors.Is(err, ErrNoIdentity) {
		return err
	}
	if err := s.Replace(f.Name, before, sealed); err != nil {
		return err
	}
	*f = *again
	return nil
}

// ParsePath reads a place in a file: stringData/ca.crt, or as SOPS writes it,
// ["stringData"]["ca.crt"]. Elements of lists have numbers from 0.
func ParsePath(text string) ([]string, error) {
	bad := fmt.Errorf("%q is no place in a file: write key/key, or [\"key\"][\"key\"]", text)
	if !strings.HasPrefix(text, "[") {
		path := strings.Split(strings.TrimPrefix(text, "/"), "/")
		if slices.Contains(path, "") {
			return nil, bad
		}
		return path, nil
	}
	var path []string
	for rest := text; rest != ""; {
		step := regexp.MustCompile(`^\[("(?:[^"\\]|\\.)*"|'[^']*'|\d+)\]`).FindStringSubmatch(rest)
		if step == nil {
			return nil, bad
		}
		rest = rest[len(step[0]):]
		key := step[1]
		if strings.HasPrefix(key, "'") {
			key = key[1 : len(key)-1]
		} else if strings.HasPrefix(key, `"`) {
			var err error
			if key, err = strconv.Unquote(key); err != nil {
				return nil, bad
			}
		}
		path = append(path, key)
	}
	return path, nil
}

// lookUp returns what stands at a path: a text, a number, a sops.TreeBranch, a
// list; nil when there is nothing.
func lookUp(at any, path []string) any {
	for _, key := range path {
		switch node := at.(type) {
		case sops.TreeBranch:
			i := slices.IndexFunc(node, func(item sops.TreeItem) bool { return isKey(item.Key, key) })
			if i < 0 {
				return nil
			}
			at = node[i].Value
		case []any:
			elements := slices.DeleteFunc(slices.Clone(node), func(e any) bool { _, comment := e.(sops.Comment); return comment })
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(elements) {
				return nil
			}
			at = elements[i]
		default:
			return nil
		}
	}
	return at
}

func isKey(key any, text string) bool {
	switch key := key.(type) {
	case string:
		return key == text
	case int:
		return strconv.Itoa(key) == text
	}
	return false
}

// Get returns the value at a path of an opened file.
func (f *File) Get(path []string) (string, error) {
	switch value := lookUp(f.tree.Branches[0], path).(type) {
	case nil:
		return "", f.noValue(path)
	case string:
		return value, nil
	case sops.TreeBranch, []any:
		return "", fmt.Errorf("%s: %s holds several values: name one of them", f.Name, strings.Join(path, "/"))
	default:
		return fmt.Sprint(value), nil
	}
}

func (f *File) noValue(path []string) error {
	names := f.Names()
	if len(names) > 20 {
		names = append(names[:20], "...")
	}
	return fmt.Errorf("%s has no %s: it has %s", f.Name, strings.Join(path, "/"), strings.Join(names, ", "))
}

// Names lists the places of the values that the first document of the file
// encrypts. They stand in it unencrypted, so it need not be open.
func (f *File) Names() []string { return f.names(f.tree.Branches[0]) }

func (f *File) names(branch sops.TreeBranch) []string {
	var names []string
	var walk func(at any, path []string)
	walk = func(at any, path []string) {
		switch node := at.(type) {
		case sops.TreeBranch:
			for _, item := range node {
				if _, comment := item.Key.(sops.Comment); !comment {
					walk(item.Value, append(slices.Clone(path), fmt.Sprint(item.Key)))
				}
			}
		case []any:
			i := 0
			for _, element := range node {
				if _, comment := element.(sops.Comment); !comment {
					walk(element, append(slices.Clone(path), strconv.Itoa(i)))
					i++
				}
			}
		case sops.Comment:
		default:
			if f.Encrypts(path) {
				names = append(names, strings.Join(path, "/"))
			}
		}
	}
	walk(branch, nil)
	return names
}

// Encrypts says whether a value at a path is encrypted, as SOPS decides it
// (Tree.shouldBeEncrypted), comments aside.
func (f *File) Encrypts(path []string) bool {
	m := f.tree.Metadata
	matches := func(pattern string) bool {
		matcher, err := regexp.Compile(pattern)
		return err == nil && slices.ContainsFunc(path, matcher.MatchString)
	}
	ends := func(suffix string) bool {
		return slices.ContainsFunc(path, func(key string) bool { return strings.HasSuffix(key, suffix) })
	}
	switch {
	case m.EncryptedRegex != "":
		return matches(m.EncryptedRegex)
	case m.UnencryptedRegex != "":
		return !matches(m.UnencryptedRegex)
	case m.EncryptedSuffix != "":
		return ends(m.EncryptedSuffix)
	case m.UnencryptedSuffix != "":
		return !ends(m.UnencryptedSuffix)
	}
	return true
}

// secretFields are the fields of a Kubernetes Secret.
func secretFields() []string {
	return []string{"apiVersion", "kind", "metadata", "type", "immutable", "data", "stringData"}
}

// exposes says what would stand in a file as plaintext that should not: all of
// it, or a misspelt field of a Secret.
func (f *File) exposes() error {
	encrypted := 0
	for _, branch := range f.tree.Branches {
		encrypted += len(f.names(branch))
		if lookUp(branch, []string{"kind"}) != "Secret" {
			continue
		}
		for _, item := range branch {
			if key, text := item.Key.(string); text && !slices.Contains(secretFields(), key) && !f.Encrypts([]string{key}) {
				return fmt.Errorf("%s: %s is no field of a Secret, and would not be encrypted: is it data or stringData?", f.Name, key)
			}
		}
	}
	if encrypted == 0 {
		return fmt.Errorf("%s: nothing in it would be encrypted: the rule encrypts the fields %s", f.Name, f.tree.Metadata.EncryptedRegex)
	}
	return nil
}

// Set writes a value to a path of an opened file, and says whether it was
// another one. It makes what is missing on the way, replaces no mapping or list
// by a value, and refuses a place that is not encrypted.
func (f *File) Set(path []string, value any) (changed bool, err error) {
	defer malformed(f.Name, &err)
	if !f.Encrypts(path) {
		return false, fmt.Errorf("%s: %s would not be encrypted there", f.Name, strings.Join(path, "/"))
	}
	var steps []any
	for i, key := range path {
		parent := lookUp(f.tree.Branches[0], path[:i])
		switch node := parent.(type) {
		case []any:
			n, err := strconv.Atoi(key)
			if err != nil || n < 0 || n > len(node) {
				return false, fmt.Errorf("%s: %s is a list of %d elements: write a number", f.Name, strings.Join(path[:i], "/"), len(node))
			}
			steps = append(steps, n)
		case sops.TreeBranch, nil:
			steps = append(steps, key)
		default:
			return false, fmt.Errorf("%s: %s is a value, not a mapping", f.Name, strings.Join(path[:i], "/"))
		}
	}
	switch lookUp(f.tree.Branches[0], path).(type) {
	case sops.TreeBranch, []any:
		if _, text := value.(string); text {
			return false, fmt.Errorf("%s: %s holds several values: name one of them", f.Name, strings.Join(path, "/"))
		}
	}
	f.tree.Branches[0], changed = f.tree.Branches[0].Set(steps, value)
	return changed, nil
}

// Remove takes a value out of an opened file; one that is not there is no error.
func (f *File) Remove(path ...string) {
	steps := make([]any, len(path))
	for i, key := range path {
		steps[i] = key
	}
	if lookUp(f.tree.Branches[0], path) != nil {
		if branch, err := f.tree.Branches[0].Unset(steps); err == nil {
			f.tree.Branches[0] = branch
		}
	}
}

// Template is what a new file begins as.
func Template(name string) []byte {
	base, _, _ := strings.Cut(path.Base(name), ".")
	if FormatOf(name) == YAML && strings.HasPrefix(name, clusters) {
		manifest, err := SecretManifest("default", base, map[string]string{"key": "value"})
		if err == nil {
			return manifest
		}
	}
	if FormatOf(name) == YAML {
		return []byte("key: value\n")
	}
	if FormatOf(name) == JSON {
		return []byte("{\"key\": \"value\"}\n")
	}
	return []byte("key=value\n")
}
