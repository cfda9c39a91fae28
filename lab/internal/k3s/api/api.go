// Package api is a small client of the Kubernetes API, for objects as plain JSON.
package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Object is an object of the API.
type Object = map[string]any

// Client speaks to one API server as one user.
type Client struct {
	server string
	http   *http.Client
}

// New returns a client that shows a certificate.
func New(server string, ca, certificate, key []byte) (*Client, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("reading a client certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &Client{server: server, http: &http.Client{
		Timeout: 15 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 5 * time.Second, IdleConnTimeout: time.Minute,
		},
	}}, nil
}

// StatusError is an answer that is not a success.
type StatusError struct {
	Code    int
	Message string
}

func (e *StatusError) Error() string { return e.Message }

// IsNotFound says whether the object is not there.
func IsNotFound(err error) bool { return isCode(err, http.StatusNotFound) }

// IsConflict says whether the object is there already, or has changed.
func IsConflict(err error) bool { return isCode(err, http.StatusConflict) }

func isCode(err error, code int) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Code == code
}

// Ways to change an object.
const (
	MergePatch     = "application/merge-patch+json"
	StrategicPatch = "application/strategic-merge-patch+json"
	applyPatch     = "application/apply-patch+yaml"
)

// Get returns the object at a path.
func (c *Client) Get(ctx context.Context, path string) (Object, error) {
	return c.do(ctx, http.MethodGet, path, "", nil)
}

// Items returns the objects of a list.
func (c *Client) Items(ctx context.Context, path string) ([]Object, error) {
	list, err := c.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	items, _ := list["items"].([]any)
	objects := make([]Object, 0, len(items))
	for _, item := range items {
		if object, ok := item.(Object); ok {
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// Create makes an object.
func (c *Client) Create(ctx context.Context, path string, object Object) (Object, error) {
	return c.do(ctx, http.MethodPost, path, "application/json", object)
}

// Update replaces an object.
func (c *Client) Update(ctx context.Context, path string, object Object) (Object, error) {
	return c.do(ctx, http.MethodPut, path, "application/json", object)
}

// Patch changes an object.
func (c *Client) Patch(ctx context.Context, path, kind string, change Object) (Object, error) {
	return c.do(ctx, http.MethodPatch, path, kind, change)
}

// Apply makes an object what it should be, by server-side apply.
func (c *Client) Apply(ctx context.Context, path, manager string, object Object) error {
	query := url.Values{"fieldManager": {manager}, "force": {"true"}}
	_, err := c.do(ctx, http.MethodPatch, path+"?"+query.Encode(), applyPatch, object)
	return err
}

// Delete deletes an object, and is content when there is none.
func (c *Client) Delete(ctx context.Context, path string) error {
	_, err := c.do(ctx, http.MethodDelete, path, "", nil)
	if IsNotFound(err) {
		return nil
	}
	return err
}

// Ready says why the server is not ready, or nil.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodGet, "/readyz", "", nil)
	return err
}

func (c *Client) do(ctx context.Context, method, path, kind string, body Object) (Object, error) {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, reader)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var object Object
	_ = json.Unmarshal(data, &object) // /readyz answers in plain text
	if response.StatusCode >= http.StatusMultipleChoices {
		message, _ := object["message"].(string)
		if message == "" {
			message = fmt.Sprintf("%s: %.200s", response.Status, data)
		}
		return nil, &StatusError{Code: response.StatusCode, Message: message}
	}
	return object, nil
}

// Field returns what lies at a path of keys, or nil.
func Field(object Object, path ...string) any {
	var value any = object
	for _, key := range path {
		fields, ok := value.(Object)
		if !ok {
			return nil
		}
		value = fields[key]
	}
	return value
}

// String returns the text at a path of keys, or nothing.
func String(object Object, path ...string) string {
	text, _ := Field(object, path...).(string)
	return text
}
