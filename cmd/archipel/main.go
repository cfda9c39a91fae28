// Command archipel raises and keeps multi-site k3s fleets.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"archipel/internal/cli"
)

func main() {
	// Helm logs what it makes of values to the process's stderr. archipel itself logs nothing.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
