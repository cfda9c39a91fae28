// Command archipel raises and keeps multi-site k3s fleets.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"archipel/internal/cli"
)

func main() {
	// Helm logs what it makes of values to the process's stderr. archipel itself logs nothing.
	log.SetOutput(io.Discard)
	// A command is over soon: collecting garbage seldom takes a tenth off a render. A fleet of
	// hundreds of sites meets the limit, and is collected as often as it needs.
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(768 << 20)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
