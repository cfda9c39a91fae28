package balancer

import (
	"io"
	"net"
	"testing"
	"time"
)

// backend answers each connection with its name and keeps it open.
func backend(t *testing.T, name string) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(connection, name)
		}
	}()
	return listener
}

func TestBalancer(t *testing.T) {
	a, b := backend(t, "a"), backend(t, "b")
	balancer, err := Listen("127.0.0.1:0", a.Addr().String(), b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	go balancer.Serve(t.Context())
	dial := func() (net.Conn, string) {
		connection, err := net.Dial("tcp", balancer.Address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
		var name [1]byte
		n, _ := io.ReadFull(connection, name[:])
		return connection, string(name[:n])
	}
	open, name := dial()
	if name != "a" {
		t.Errorf("got %q", name)
	}
	a.Close()
	if _, name := dial(); name != "b" {
		t.Errorf("with one server gone: got %q", name)
	}
	if got := balancer.Servers()[0]; got != b.Addr().String() {
		t.Errorf("the first is %s", got)
	}
	balancer.SetServers([]string{b.Addr().String()})
	if _, err := open.Read(make([]byte, 1)); err == nil {
		t.Error("a connection to a server that was removed stays open")
	} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // read errors are not wrapped
		t.Error("a connection to a server that was removed stays open")
	}
	b.Close()
	if _, name := dial(); name != "" {
		t.Errorf("without servers: got %q", name)
	}
}
