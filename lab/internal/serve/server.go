package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// How long a client may take: to send the head of a request or finish the TLS
// handshake, to keep a connection without a request, and to read an answer. The
// last one is far above what a clone over loopback takes.
const (
	headTimeout   = 10 * time.Second
	idleTimeout   = time.Minute
	answerTimeout = 10 * time.Minute
)

// How long running requests may take to end when the server stops.
const stopTimeout = 3 * time.Second

// Server holds both listening sockets.
type Server struct {
	plain, proxy net.Listener
	tunnels      *tunnels
	servers      []*http.Server
}

// Listen checks the configuration, takes both addresses, makes the authority and
// writes its certificate. Nothing is answered before Serve: a client that sees
// /healthz answer can trust the certificate file.
func Listen(config Config, log *slog.Logger) (*Server, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	handlers, err := siteHandlers(config, log)
	if err != nil {
		return nil, err
	}
	hosts := make([]string, 0, len(handlers))
	for host := range handlers {
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	authority, err := newAuthority(hosts)
	if err != nil {
		return nil, fmt.Errorf("making the certificates: %w", err)
	}

	plain, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	proxy, err := net.Listen("tcp", config.Proxy)
	if err != nil {
		plain.Close()
		return nil, fmt.Errorf("listening as proxy: %w", err)
	}
	if err := writeFile(config.CA, authority.certificate); err != nil {
		plain.Close()
		proxy.Close()
		return nil, fmt.Errorf("writing the certificate of the authority: %w", err)
	}

	tunnels := newTunnels(proxy.Addr())
	server := &Server{plain: plain, proxy: proxy, tunnels: tunnels}
	server.servers = []*http.Server{
		httpServer(logged(log, health())),
		httpServer(connect(tunnels, handlers, log)),
		httpServer(logged(log, misdirected(bySite(handlers)))),
	}
	server.servers[2].TLSConfig = authority.config
	server.servers[2].ConnContext = withTunnelHost
	for _, s := range server.servers {
		s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	}
	log.Info("listening", "address", plain.Addr().String(), "proxy", proxy.Addr().String(), "hosts", hosts)
	return server, nil
}

// httpServer speaks HTTP/1.1 only: CONNECT and CGI both mean one connection for
// one conversation.
func httpServer(handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Protocols:         protocols,
		Handler:           handler,
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		WriteTimeout:      answerTimeout,
	}
}

// Addr is the plain address, with its real port.
func (s *Server) Addr() net.Addr { return s.plain.Addr() }

// ProxyAddr is the address of the proxy, with its real port.
func (s *Server) ProxyAddr() net.Addr { return s.proxy.Addr() }

// Serve answers until the context ends, then lets running requests end and closes
// every connection. It returns nil after such a stop.
func (s *Server) Serve(ctx context.Context) error {
	listeners := []func(*http.Server) error{
		func(h *http.Server) error { return h.Serve(s.plain) },
		func(h *http.Server) error { return h.Serve(s.proxy) },
		func(h *http.Server) error { return h.ServeTLS(s.tunnels, "", "") },
	}
	ended := make(chan error, len(listeners))
	for i, listen := range listeners {
		go func() { ended <- listen(s.servers[i]) }()
	}

	var failure error
	running := len(listeners)
	select {
	case <-ctx.Done():
	case failure = <-ended:
		running--
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	// The proxy first: no tunnel may be opened towards a server that is gone.
	for _, i := range []int{1, 2, 0} {
		if s.servers[i].Shutdown(stop) != nil {
			s.servers[i].Close()
		}
	}
	for range running {
		if err := <-ended; failure == nil {
			failure = err
		}
	}
	if errors.Is(failure, http.ErrServerClosed) {
		return nil
	}
	return failure
}

func health() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}

// writeFile writes the file whole or not at all, readable by all: a certificate
// is no secret.
func writeFile(file string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(data)
	if err := errors.Join(err, temporary.Chmod(0o644), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}

// logged writes one line for each request, without its query and its headers:
// those may hold secrets.
func logged(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		log.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("host", r.Host), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", answer.status), slog.Int64("bytes", answer.bytes))
	})
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(data []byte) (int, error) {
	n, err := r.ResponseWriter.Write(data)
	r.bytes += int64(n)
	return n, err
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
