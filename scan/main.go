// Command archipel-scan holds Kubernetes objects and Terraform files to Trivy's checks,
// which are compiled into it: it reads one request and writes one answer.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"archipel/scan/engine"
)

const usage = `usage: archipel-scan [version]

Without an argument it reads a request from standard input, and writes the answer
to standard output (package archipel/scan/engine describes both). archipel
security starts it. Nothing is fetched and no file is read.
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

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) == 0:
		err = answer(ctx, stdin, stdout)
	case len(args) == 1 && args[0] == "version":
		_, err = fmt.Fprintln(stdout, engine.Version())
	case len(args) == 1 && (args[0] == "--help" || args[0] == "-h" || args[0] == "help"):
		_, err = fmt.Fprint(stdout, usage)
	default:
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch {
	case err == nil:
		return exitClean
	case errors.Is(err, engine.ErrRequest):
		fmt.Fprintln(stderr, "archipel-scan:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "archipel-scan:", err)
	return exitFailed
}

func answer(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	// The checks make much garbage and live for seconds.
	debug.SetGCPercent(400)
	request, err := engine.ReadRequest(stdin)
	if err != nil {
		return err
	}
	response, err := engine.Scan(ctx, request)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(response)
}
