package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"archipel/lab/internal/k3s/certs"
	"archipel/lab/internal/k3s/child"
	"archipel/lab/internal/k3s/datastore"
	"archipel/lab/internal/k3s/node"
)

// reset makes this server the only member of its etcd, from a snapshot when
// there is one, and gets the cluster's secrets out of it. With another token
// than the one they are under nothing changes.
func (s *server) reset(ctx context.Context) error {
	l, snapshot := s.layout, s.values.Text("cluster-reset-restore-path")
	if _, err := os.Stat(l.resetFlag()); err == nil {
		return fmt.Errorf("the cluster was reset before: start k3s without cluster-reset, or delete %s to reset it once more", l.resetFlag())
	}
	if s.password == "" {
		return errors.New("token is required to reset a cluster: its secrets are encrypted with it")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:2379")
	if err != nil {
		return errors.New("etcd runs on this server: stop k3s before you reset the cluster")
	}
	listener.Close()
	if snapshot == "" && !l.hasDatabase() {
		return fmt.Errorf("there is no database in %s to reset", l.etcd())
	}
	work, err := os.MkdirTemp("", "k3s-reset-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if s.member, err = s.memberName(); err != nil {
		return err
	}
	undo := func() error { return nil }
	if snapshot != "" {
		if undo, err = s.restore(ctx, snapshot, work); err != nil {
			return err
		}
	}
	files, err := s.readReset(ctx, work, snapshot == "")
	if err != nil {
		return errors.Join(err, undo())
	}
	if err := l.writeBootstrap(files); err != nil {
		return err
	}
	if err := writeFile(l.resetFlag(), nil, 0o600); err != nil {
		return err
	}
	s.say("Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. "+
		"Delete %s on the other servers and start them again", l.file("db"))
	return nil
}

// restore replaces the database by a snapshot. The old one stays beside it.
func (s *server) restore(ctx context.Context, snapshot, work string) (undo func() error, err error) {
	l := s.layout
	if _, err := os.Stat(snapshot); err != nil {
		return nil, fmt.Errorf("reading the snapshot: %w", err)
	}
	if strings.HasSuffix(snapshot, ".zip") {
		if snapshot, err = decompress(snapshot, work); err != nil {
			return nil, err
		}
	}
	restored := filepath.Join(l.file("db"), "etcd-restored")
	if err := os.RemoveAll(restored); err != nil {
		return nil, err
	}
	err = s.runner.Run(ctx, child.Spec{
		Name: "etcd-restore", Path: s.programs.ControlPlane(), Env: node.Environment(s.version),
		Args: []string{
			"etcd-restore", "--snapshot=" + snapshot, "--name=" + s.member, "--peer=" + s.peer(), "--data-dir=" + restored,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("restoring the snapshot: %w", err)
	}
	old := filepath.Join(l.file("db"), fmt.Sprintf("etcd-old-%d", time.Now().Unix()))
	if err := os.Rename(l.etcd(), old); err != nil {
		return nil, err
	}
	if err := os.Rename(restored, l.etcd()); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(l.etcd(), "name"), []byte(s.member), 0o600); err != nil {
		return nil, err
	}
	return func() error {
		if err := os.RemoveAll(l.etcd()); err != nil {
			return err
		}
		return os.Rename(old, l.etcd())
	}, nil
}

// readReset runs etcd alone for a moment and reads the cluster's secrets. The
// certificates of that moment are throw-away ones: the real ones are in there.
func (s *server) readReset(ctx context.Context, work string, force bool) (map[string][]byte, error) {
	now := time.Now()
	authority, err := certs.NewAuthority("reset", now)
	if err != nil {
		return nil, err
	}
	pair, err := authority.Issue(certs.Leaf{Name: "reset", Hosts: []string{"127.0.0.1"}}, now)
	if err != nil {
		return nil, err
	}
	file := func(name string) string { return filepath.Join(work, name) }
	for name, data := range map[string][]byte{"ca.crt": authority.Certificate, "tls.crt": pair.Certificate, "tls.key": pair.Key} {
		if err := os.WriteFile(file(name), data, 0o600); err != nil {
			return nil, err
		}
	}
	args := []string{
		"etcd", "--name=" + s.member, "--data-dir=" + s.layout.etcd(),
		"--listen-client-urls=https://127.0.0.1:2379", "--advertise-client-urls=https://127.0.0.1:2379",
		"--listen-peer-urls=https://127.0.0.1:2380", "--initial-advertise-peer-urls=" + s.peer(),
		"--initial-cluster=" + s.member + "=" + s.peer(),
		"--client-cert-auth", "--trusted-ca-file=" + file("ca.crt"), "--cert-file=" + file("tls.crt"), "--key-file=" + file("tls.key"),
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + file("ca.crt"),
		"--peer-cert-file=" + file("tls.crt"), "--peer-key-file=" + file("tls.key"),
		"--log-level=fatal", // what ends it; that it is stopped at once is no error
	}
	if force {
		args = append(args, "--force-new-cluster")
	}
	etcd, err := s.runner.Start(child.Spec{
		Name: "etcd", Path: s.programs.ControlPlane(), Args: args, Env: node.Environment(s.version),
	})
	if err != nil {
		return nil, err
	}
	defer etcd.Stop(10 * time.Second)
	store, err := datastore.Open("https://127.0.0.1:2379", datastore.Identity{CA: file("ca.crt"), Certificate: file("tls.crt"), Key: file("tls.key")})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	if err := s.await(ctx, "etcd", etcd, store.Ready); err != nil {
		return nil, err
	}
	files, err := store.Bootstrap(ctx, s.password)
	if err == nil && files == nil {
		err = errors.New("the database holds no cluster of k3s")
	}
	return files, err
}
