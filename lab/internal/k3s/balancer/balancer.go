// Package balancer is the local TCP load balancer through which a node reaches the API servers of its cluster.
package balancer

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Times after which a server is given up. A host that is cut off answers nothing.
const (
	dialTimeout = 3 * time.Second
	deadAfter   = 15 * time.Second
)

// Balancer passes connections on to the first server that takes them.
type Balancer struct {
	listener net.Listener
	mutex    sync.Mutex
	servers  []string
	open     map[net.Conn]string
}

// Listen returns a balancer of servers (host:port).
func Listen(address string, servers ...string) (*Balancer, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return &Balancer{listener: listener, servers: servers, open: map[net.Conn]string{}}, nil
}

// Address is where it listens.
func (b *Balancer) Address() string { return b.listener.Addr().String() }

// Serve passes connections on until ctx ends.
func (b *Balancer) Serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { b.listener.Close() })
	defer stop()
	for {
		client, err := b.listener.Accept()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // no file descriptors left
			continue
		}
		go b.pass(ctx, client)
	}
}

// Servers returns the servers, the one that answered last first.
func (b *Balancer) Servers() []string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return slices.Clone(b.servers)
}

// SetServers replaces the servers and ends the connections to those that are gone.
func (b *Balancer) SetServers(servers []string) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	var next []string
	for _, server := range b.servers { // in the order that has proved good
		if slices.Contains(servers, server) {
			next = append(next, server)
		}
	}
	for _, server := range servers {
		if !slices.Contains(next, server) {
			next = append(next, server)
		}
	}
	b.servers = next
	for connection, server := range b.open {
		if !slices.Contains(next, server) {
			connection.Close()
		}
	}
}

func (b *Balancer) pass(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, name := b.dial(ctx)
	if server == nil {
		return
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() { server.Close(); client.Close() })
	defer stop()
	b.mutex.Lock()
	b.open[server] = name
	b.mutex.Unlock()
	defer func() {
		b.mutex.Lock()
		delete(b.open, server)
		b.mutex.Unlock()
	}()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	<-done // TLS has no use for a half of a connection
}

// dial tries the servers in turn; one that fails goes to the end.
func (b *Balancer) dial(ctx context.Context) (net.Conn, string) {
	dialer := net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 3 * time.Second, Count: 3},
	}
	for _, server := range b.Servers() {
		connection, err := dialer.DialContext(ctx, "tcp", server)
		if err == nil {
			setDeadAfter(connection, deadAfter)
			return connection, server
		}
		b.mutex.Lock()
		if i := slices.Index(b.servers, server); i >= 0 {
			b.servers = append(slices.Delete(b.servers, i, i+1), server)
		}
		b.mutex.Unlock()
	}
	return nil, ""
}

// setDeadAfter limits how long sent data may stay unanswered.
func setDeadAfter(connection net.Conn, limit time.Duration) {
	tcp, ok := connection.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds()))
	})
}
