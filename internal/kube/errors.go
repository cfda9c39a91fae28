package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// UnreachableError says that an API server gave no usable answer.
type UnreachableError struct {
	Server string // host:port
	Reason string // one line, for example "connection refused"
	Err    error  // what the client library said
}

func (e *UnreachableError) Error() string { return e.Server + ": " + e.Reason }

// Unwrap returns what the client library said.
func (e *UnreachableError) Unwrap() error { return e.Err }

// explain turns an error of the client library into one line that says what
// was being done. Answers of the API server keep their type, so that
// apierrors.IsNotFound and its kin still work.
func (c *Cluster) explain(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsUnauthorized(err):
		return &UnreachableError{Server: c.server, Reason: "credentials refused, renew the kubeconfig", Err: err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// The client library tries again after a connection was closed.
		if _, earlier, ok := strings.Cut(err.Error(), "error from a previous attempt: "); ok {
			const closed = "connection closed" // the same for all ways in which a peer hangs up
			earlier = strings.NewReplacer("EOF", closed, syscall.ECONNRESET.Error(), closed, syscall.EPIPE.Error(), closed).Replace(earlier)
			return &UnreachableError{Server: c.server, Reason: earlier, Err: err}
		}
		return fmt.Errorf("%s: %w", doing, err)
	}
	if reason := networkReason(err); reason != "" {
		return &UnreachableError{Server: c.server, Reason: reason, Err: err}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// networkReason names the way a connection failed; "" when err is no failure
// of a connection.
func networkReason(err error) string {
	var (
		status    apierrors.APIStatus
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		verify    *tls.CertificateVerificationError
		op        *net.OpError
		timeout   net.Error
	)
	switch {
	case errors.As(err, &status):
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the host"
	case errors.As(err, &dns):
		return "no such host"
	case errors.As(err, &authority):
		return "its certificate is of an unknown authority"
	case errors.As(err, &host):
		return "its certificate is for another host"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired"
	case errors.As(err, &verify):
		return "its certificate does not verify"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer"
	case errors.As(err, &op):
		return op.Err.Error()
	}
	return ""
}
