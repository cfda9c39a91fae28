package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// gitHandler serves the bare repositories of a folder over Git's smart HTTP
// protocol, to be read only.
func gitHandler(config Git, log *slog.Logger) (http.Handler, error) {
	backend, err := gitBackend()
	if err != nil {
		return nil, err
	}
	root, err := filepath.Abs(config.Root)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("git: root: %s is not a folder", root)
	}
	program := &cgi.Handler{
		Path: backend,
		Root: "/",
		Dir:  root,
		Env: []string{
			"GIT_PROJECT_ROOT=" + root,
			"GIT_HTTP_EXPORT_ALL=1",
			// The configuration of the user and the machine stays out.
			"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "HOME=" + root,
			"GIT_CONFIG_COUNT=2",
			"GIT_CONFIG_KEY_0=http.receivepack", "GIT_CONFIG_VALUE_0=false",
			"GIT_CONFIG_KEY_1=http.getanyfile", "GIT_CONFIG_VALUE_1=false",
		},
		Logger: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		Stderr: &lines{log: log},
	}
	handler := readOnlyGit(program)
	if config.Credentials == "" {
		return handler, nil
	}
	credential, err := readCredential(config.Credentials)
	if err != nil {
		return nil, err
	}
	return authenticated(credential, handler), nil
}

func gitBackend() (string, error) {
	output, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return "", fmt.Errorf("git: running `git --exec-path`: %w: install git", err)
	}
	backend := filepath.Join(strings.TrimSpace(string(output)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		return "", fmt.Errorf("git: %s is missing: install the whole of git, this one lacks its HTTP server", backend)
	}
	return backend, nil
}

// readOnlyGit lets the two requests of a fetch pass.
func readOnlyGit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		service := r.URL.Query().Get("service")
		switch {
		case service == "git-receive-pack" || strings.HasSuffix(r.URL.Path, "/git-receive-pack"):
			http.Error(w, "this server is read only: the lab serves the working tree, change that", http.StatusForbidden)
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/info/refs") && service == "git-upload-pack",
			r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-upload-pack"):
			// CGI hands headers on in the environment, where others may see them.
			r = r.Clone(r.Context())
			r.Header.Del("Authorization")
			next.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}

// credential is a user and a password, hashed so that they compare in constant
// time whatever their lengths.
type credential struct{ user, password [sha256.Size]byte }

// readCredential reads user:password from a file that nobody else may read. Its
// errors never hold what the file holds.
func readCredential(file string) (credential, error) {
	info, err := os.Stat(file)
	if err != nil {
		return credential{}, fmt.Errorf("git: credentials: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return credential{}, fmt.Errorf("git: credentials: others may read %s: run chmod 600", file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return credential{}, fmt.Errorf("git: credentials: %w", err)
	}
	user, password, ok := strings.Cut(strings.TrimRight(string(data), "\r\n"), ":")
	if !ok || user == "" || password == "" {
		return credential{}, errors.New("git: credentials: the file must hold one line, user:password")
	}
	return credential{user: sha256.Sum256([]byte(user)), password: sha256.Sum256([]byte(password))}, nil
}

func authenticated(want credential, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		userSum, passwordSum := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
		if subtle.ConstantTimeCompare(userSum[:], want.user[:])&subtle.ConstantTimeCompare(passwordSum[:], want.password[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="archipel lab", charset="UTF-8"`)
			http.Error(w, "a user and a password are needed", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// lines logs what a program writes to its standard error.
type lines struct{ log *slog.Logger }

func (l *lines) Write(data []byte) (int, error) {
	for line := range strings.Lines(string(data)) {
		l.log.Warn("git", "message", strings.TrimSpace(line))
	}
	return len(data), nil
}
