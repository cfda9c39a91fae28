package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// forward is one way from the network of this process into another.
type forward struct{ listen, to netip.AddrPort }

func parseForwards(args []string) ([]forward, error) {
	var all []forward
	for _, arg := range args {
		listen, to, _ := strings.Cut(arg, "=")
		var f forward
		var err, other error
		f.listen, err = netip.ParseAddrPort(listen)
		f.to, other = netip.ParseAddrPort(to)
		if err := errors.Join(err, other); err != nil {
			return nil, fmt.Errorf("%w: %q is not ADDRESS:PORT=ADDRESS:PORT: %w", errUsage, arg, err)
		}
		if !f.listen.Addr().IsLoopback() {
			return nil, fmt.Errorf("%w: %s is no loopback address", errUsage, f.listen)
		}
		all = append(all, f)
	}
	return all, nil
}

// runForward lets programs outside of the lab's network reach servers in it.
func runForward(ctx context.Context, args []string, _ io.Reader, _ io.Writer, log *slog.Logger) error {
	flags := flagSet("forward")
	file := flags.String("network", "", "file of the network namespace to dial in")
	ways := flags.String("ways", "", "what to forward")
	if err := parse(flags, args, file, ways); err != nil {
		return err
	}
	forwards, err := parseForwards(strings.Split(*ways, ","))
	if err != nil {
		return err
	}
	// Opened once: the process that the name is of may end before the network does.
	network, err := os.Open(*file)
	if err != nil {
		return fmt.Errorf("opening the network namespace: %w", err)
	}
	defer network.Close()
	var running sync.WaitGroup
	defer running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, f := range forwards {
		listener, err := net.Listen("tcp4", f.listen.String())
		if err != nil {
			return err
		}
		log.Info("forwarding", "from", f.listen.String(), "to", f.to.String())
		context.AfterFunc(ctx, func() { listener.Close() })
		running.Go(func() {
			for {
				client, err := listener.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err != nil { // no file left for it, say
					log.Warn("accepting failed", "error", err.Error())
					time.Sleep(100 * time.Millisecond)
					continue
				}
				running.Go(func() { f.serve(ctx, client, network, log) })
			}
		})
	}
	<-ctx.Done()
	return nil
}

// serve copies one connection both ways until both have ended.
func (f forward) serve(ctx context.Context, client net.Conn, network *os.File, log *slog.Logger) {
	defer client.Close()
	server, err := dialIn(ctx, network, f.to)
	if err != nil {
		log.Warn("dialling failed", "to", f.to.String(), "error", err.Error())
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1]) // a broken connection ends like a closed one
			if half, ok := pair[0].(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
		})
	}
	both.Wait()
}

// dialIn opens a connection from another network. A socket belongs to the network
// that its thread is in when it is made.
func dialIn(ctx context.Context, network *os.File, to netip.AddrPort) (net.Conn, error) {
	type dialled struct {
		conn net.Conn
		err  error
	}
	result := make(chan dialled, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and nobody else gets it.
		runtime.LockOSThread()
		if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- dialled{err: fmt.Errorf("entering the network: %w", err)}
			return
		}
		// One address: the dialler makes its socket on the goroutine that calls it.
		dialer := net.Dialer{Timeout: 10 * time.Second}
		conn, err := dialer.DialContext(ctx, "tcp4", to.String())
		result <- dialled{conn, err}
	}()
	r := <-result
	return r.conn, r.err
}
