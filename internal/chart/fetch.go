package chart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"oras.land/oras-go/v2/registry/remote/errcode"
)

// How patient a Store is.
const (
	connectTimeout = 10 * time.Second
	answerTimeout  = 30 * time.Second // until an answer begins
	fetchTimeout   = 5 * time.Minute  // until it ends
	tries          = 3                // of each place, when it fails in a way that passes
	maxRedirects   = 10
)

// missingError says for certain that something is not there.
type missingError struct{ reason string }

func (e *missingError) Error() string { return e.reason }

// statusError is an answer that is not what was asked for.
type statusError struct{ code int }

func (e *statusError) Error() string {
	return fmt.Sprintf("HTTP %d %s", e.code, http.StatusText(e.code))
}

// brokenError is an answer that began well.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return "the answer breaks off: " + e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// failures are the reasons why none of several places has given something.
type failures struct {
	reasons []string
	errs    []error
}

func (f *failures) Error() string   { return strings.Join(f.reasons, "; ") }
func (f *failures) Unwrap() []error { return f.errs }

// missing reports whether all places answered that it is not there.
func (f *failures) missing() bool {
	for _, err := range f.errs {
		if _, ok := errors.AsType[*missingError](err); !ok {
			return false
		}
	}
	return true
}

// newClient returns a client that does not follow a redirect from TLS to plain text.
func newClient(given *http.Client) *http.Client {
	client := http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: answerTimeout,
		IdleConnTimeout:       answerTimeout,
		ForceAttemptHTTP2:     true,
	}}
	if given != nil {
		client = *given
	}
	client.CheckRedirect = func(request *http.Request, via []*http.Request) error {
		switch {
		case len(via) >= maxRedirects:
			return errors.New("too many redirects")
		case request.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https":
			return errors.New("it redirects from https:// to plain text")
		}
		return nil
	}
	return &client
}

// places returns where to look for what a URL names: at its mirrors, in order,
// then at its own host. As in k3s's registries.yaml, "*" stands for hosts that
// are not listed.
func (s *Store) places(u *url.URL) ([]*url.URL, error) {
	mirrors, ok := s.config.Mirrors[u.Host]
	if !ok {
		mirrors = s.config.Mirrors["*"]
	}
	var places []*url.URL
	for _, mirror := range mirrors {
		base, err := url.Parse(mirror)
		if err != nil || base.Host == "" {
			return nil, fmt.Errorf("the mirror of %s is no URL", u.Host)
		}
		place := base.JoinPath(u.EscapedPath())
		if isRegistry(u) {
			if place, err = registryMirror(base, u); err != nil {
				return nil, err
			}
		}
		place.RawQuery = u.RawQuery
		places = append(places, place)
	}
	return append(places, u), nil
}

// tryEach returns what the first place gives that gives anything. A place that
// fails in a way that passes is tried again after a while. Errors that are about
// what was given, not about a place, end the search.
func tryEach[T any](ctx context.Context, s *Store, u *url.URL, fetch func(context.Context, *url.URL) (T, error)) (T, error) {
	var none T
	places, err := s.places(u)
	if err != nil {
		return none, err
	}
	failed := &failures{}
	for _, place := range places {
		var err error
		for n := range tries {
			if n > 0 && !wait(ctx, s.pause<<(n-1)) {
				return none, ctx.Err()
			}
			var got T
			if got, err = timed(ctx, place, fetch); err == nil {
				return got, nil
			}
			if ctx.Err() != nil {
				return none, ctx.Err()
			}
			if !passes(err) {
				break
			}
		}
		reason, ofPlace := reasonOf(err)
		if !ofPlace {
			return none, err
		}
		failed.reasons = append(failed.reasons, place.Host+": "+reason+s.credentialsHint(err, place))
		failed.errs = append(failed.errs, err)
	}
	return none, failed
}

func timed[T any](ctx context.Context, place *url.URL, fetch func(context.Context, *url.URL) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	return fetch(ctx, place)
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// passes reports whether trying again may help.
func passes(err error) bool {
	switch statusOf(err) {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	_, broken := errors.AsType[*brokenError](err)
	return broken || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// statusOf returns the status of the answer that an error is about, or 0.
func statusOf(err error) int {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.code
	}
	if e, ok := errors.AsType[*errcode.ErrorResponse](err); ok {
		return e.StatusCode
	}
	return 0
}

// reasonOf words an error that is about a place. URLs are left out: those that a
// registry redirects to hold signatures.
func reasonOf(err error) (reason string, ofPlace bool) {
	if e, ok := errors.AsType[*missingError](err); ok {
		return e.reason, true
	}
	if code := statusOf(err); code != 0 {
		return (&statusError{code}).Error(), true
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no whole answer within %s", fetchTimeout), true
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err.Error(), true
	}
	if e, ok := errors.AsType[*brokenError](err); ok {
		return e.Error(), true
	}
	if e, ok := errors.AsType[net.Error](err); ok {
		return e.Error(), true
	}
	return "", false
}

// get returns what a URL names, up to a number of bytes.
func (s *Store) get(ctx context.Context, u *url.URL, limit int) ([]byte, error) {
	return tryEach(ctx, s, u, func(ctx context.Context, place *url.URL) ([]byte, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, place.String(), http.NoBody)
		if err != nil {
			return nil, err
		}
		// An archive must arrive as it is, whatever a server thinks of gzip.
		request.Header.Set("Accept-Encoding", "identity")
		if err := s.authorize(ctx, request); err != nil {
			return nil, err
		}
		response, err := s.client.Do(request)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		switch response.StatusCode {
		case http.StatusOK:
			return readAll(response.Body, limit)
		case http.StatusNotFound, http.StatusGone:
			return nil, &missingError{"it is not there"}
		}
		return nil, &statusError{response.StatusCode}
	})
}

// readAll reads everything, and refuses more than limit bytes.
func readAll(r io.Reader, limit int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, &brokenError{err}
	}
	if len(data) > limit {
		return nil, fmt.Errorf("it has more than %d MiB", limit>>20)
	}
	return data, nil
}
