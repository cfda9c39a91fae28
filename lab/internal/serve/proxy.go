package serve

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// connect answers CONNECT for the hosts that are served, on port 443, and refuses
// everything else with 403 and a line in the log: no request leaves this machine.
func connect(tunnels *tunnels, handlers map[string]http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, port, err := net.SplitHostPort(r.Host)
		if err != nil {
			host, port = r.Host, ""
		}
		host = strings.ToLower(host)
		if _, served := handlers[host]; r.Method != http.MethodConnect || !served || port != "443" {
			log.Warn("refused: the lab reaches no network", "host", r.Host, "method", r.Method, "status", http.StatusForbidden)
			http.Error(w, "the lab serves no "+r.Host+" and reaches no network", http.StatusForbidden)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			log.Error("taking over a connection", "error", err)
			http.Error(w, "the connection cannot be taken over", http.StatusInternalServerError)
			return
		}
		// The server set deadlines for the request that has now been read.
		if err := conn.SetDeadline(time.Time{}); err != nil {
			conn.Close()
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection Established\r\n\r\n"); err != nil {
			conn.Close()
			return
		}
		tunnels.put(&tunnel{Conn: conn, host: host, early: early(buffered.Reader)})
	})
}

// early returns what the client sent after CONNECT without waiting for the answer.
func early(r *bufio.Reader) io.Reader {
	if r.Buffered() == 0 {
		return nil
	}
	return io.LimitReader(r, int64(r.Buffered()))
}

// tunnel is a connection that a client opened towards host.
type tunnel struct {
	net.Conn
	host  string
	early io.Reader
}

func (t *tunnel) Read(p []byte) (int, error) {
	if t.early != nil {
		n, err := t.early.Read(p)
		if n > 0 || err != io.EOF {
			return n, err
		}
		t.early = nil
	}
	return t.Conn.Read(p)
}

// tunnels is the listener of the server behind the proxy: what is put into it
// is accepted from it.
type tunnels struct {
	address net.Addr
	waiting chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newTunnels(address net.Addr) *tunnels {
	return &tunnels{address: address, waiting: make(chan net.Conn), closed: make(chan struct{})}
}

func (t *tunnels) put(conn net.Conn) {
	select {
	case t.waiting <- conn:
	case <-t.closed:
		conn.Close()
	}
}

func (t *tunnels) Accept() (net.Conn, error) {
	select {
	case conn := <-t.waiting:
		return conn, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

func (t *tunnels) Close() error {
	t.once.Do(func() { close(t.closed) })
	return nil
}

func (t *tunnels) Addr() net.Addr { return t.address }

type tunnelHost struct{}

func withTunnelHost(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := conn.(*tls.Conn); ok {
		if t, ok := secured.NetConn().(*tunnel); ok {
			return context.WithValue(ctx, tunnelHost{}, t.host)
		}
	}
	return ctx
}

// misdirected refuses a request for another host than the one its tunnel was
// opened to: the log would name the wrong one.
func misdirected(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _ := r.Context().Value(tunnelHost{}).(string); bareHost(r) != host {
			http.Error(w, "the tunnel leads to another host", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func bareHost(r *http.Request) string {
	return strings.ToLower(strings.TrimSuffix(r.Host, ":443"))
}

// bySite hands a request to the handler of its host.
func bySite(handlers map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, ok := handlers[bareHost(r)]
		if !ok {
			http.Error(w, "not served here", http.StatusMisdirectedRequest)
			return
		}
		handler.ServeHTTP(w, r)
	})
}
