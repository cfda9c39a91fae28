// Command schemas writes what archipel knows of the built-in kinds of Kubernetes: one
// small file for each minor, made from the OpenAPI documents in the module
// k8s.io/kubernetes. The same modules give the same bytes.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const usage = `usage: go mod download -json k8s.io/kubernetes@v1.36.4 ... | schemas --out DIR

Writes DIR/1.36.gz and so on, one file for each module on standard input.
`

// Exit codes.
const (
	exitUsage  = 2
	exitFailed = 3
)

var errUsage = errors.New("bad usage")

func main() {
	err := run(os.Args[1:], os.Stdin, os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(os.Stdout, usage)
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "schemas: %v\n%s", err, usage)
		os.Exit(exitUsage)
	case err != nil:
		fmt.Fprintf(os.Stderr, "schemas: %v\n", err)
		os.Exit(exitFailed)
	}
}

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("schemas", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	out := flags.String("out", "", "folder to write")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if *out == "" || flags.NArg() > 0 {
		return fmt.Errorf("%w: --out is needed, and no argument", errUsage)
	}
	for decoder := json.NewDecoder(stdin); ; {
		var module struct{ Path, Version, Dir, Error string }
		err := decoder.Decode(&module)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the modules: %w", err)
		}
		if module.Error != "" {
			return fmt.Errorf("%s: %s", module.Path, module.Error)
		}
		text, err := convert(module.Dir, module.Version)
		if err != nil {
			return fmt.Errorf("%s@%s: %w", module.Path, module.Version, err)
		}
		packed, err := pack(text)
		if err != nil {
			return err
		}
		parts := strings.SplitN(strings.TrimPrefix(module.Version, "v"), ".", 3)
		if len(parts) != 3 {
			return fmt.Errorf("version %s has no minor", module.Version)
		}
		name := filepath.Join(*out, parts[0]+"."+parts[1]+".gz")
		if err := os.WriteFile(name, packed, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: %d bytes, %d unpacked\n", name, len(packed), len(text))
	}
}

// pack compresses without a name or a time, so that equal texts give equal files.
func pack(text []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
