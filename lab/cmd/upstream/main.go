// Command upstream stands in, on one machine without network, for every remote
// that the stack pulls from: Git, Helm chart repositories and the OCI registry of
// Flux's manifests.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"archipel/lab/internal/pack"
	"archipel/lab/internal/serve"
)

const usage = `usage: upstream pack --modules FILE --out DIR
       upstream serve --config FILE
       upstream forward --network FILE --ways LISTEN=TO,...

pack makes what is served from the files of Go modules; FILE holds the output of
"go mod download -json" (- reads it from standard input). It prints what it made.
serve answers until it is told to stop (SIGINT, SIGTERM). forward passes
connections on into another network namespace, until it is told to stop.
`

// Exit codes.
const (
	exitClean  = 0
	exitUsage  = 2
	exitFailed = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Errors that exit with exitUsage.
var (
	errUsage  = errors.New("bad usage")
	errConfig = errors.New("bad configuration")
)

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	verbs := map[string]func(context.Context, []string, io.Reader, io.Writer, *slog.Logger) error{
		"pack":    runPack,
		"serve":   runServe,
		"forward": runForward,
	}
	var verb func(context.Context, []string, io.Reader, io.Writer, *slog.Logger) error
	if len(args) > 0 {
		verb = verbs[args[0]]
	}
	if verb == nil {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	err := verb(ctx, args[1:], stdin, stdout, log)
	switch {
	case err == nil:
		return exitClean
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return exitClean
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "upstream: %v\n%s", err, usage)
		return exitUsage
	}
	log.Error(args[0]+" failed", "error", err.Error())
	if errors.Is(err, errConfig) {
		return exitUsage
	}
	return exitFailed
}

func runPack(_ context.Context, args []string, stdin io.Reader, stdout io.Writer, log *slog.Logger) error {
	flags := flagSet("pack")
	file := flags.String("modules", "", "output of go mod download -json")
	out := flags.String("out", "", "folder to write")
	if err := parse(flags, args, file, out); err != nil {
		return err
	}
	input := stdin
	if *file != "-" {
		f, err := os.Open(*file)
		if err != nil {
			return fmt.Errorf("reading the modules: %w", err)
		}
		defer f.Close()
		input = f
	}
	modules, err := pack.ReadModules(input)
	if err != nil {
		return err
	}
	manifest, err := pack.Write(*out, modules, log)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(manifest)
}

func runServe(ctx context.Context, args []string, _ io.Reader, _ io.Writer, log *slog.Logger) error {
	flags := flagSet("serve")
	file := flags.String("config", "", "what to serve, and where")
	if err := parse(flags, args, file); err != nil {
		return err
	}
	config, err := serve.ReadConfig(*file)
	if err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	server, err := serve.Listen(config, log)
	if err != nil {
		return err
	}
	defer log.Info("stopped")
	return server.Serve(ctx)
}

func flagSet(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// parse fails unless every required flag has a value and nothing is left over.
func parse(flags *flag.FlagSet, args []string, required ...*string) error {
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: unexpected %q", errUsage, flags.Arg(0))
	}
	for _, value := range required {
		if *value == "" {
			return fmt.Errorf("%w: every flag needs a value", errUsage)
		}
	}
	return nil
}
