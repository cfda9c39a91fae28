package kube

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Merge writes the cluster that config.Content describes into a kubeconfig file,
// as a context, a cluster and a user that are called name. What else the file
// holds stays, its current context too. Only its owner may read the file.
func Merge(file, name string, config Config) error {
	from, _, err := load(config)
	if err != nil {
		return err
	}
	context, ok := from.Contexts[from.CurrentContext]
	if !ok || from.Clusters[context.Cluster] == nil || from.AuthInfos[context.AuthInfo] == nil {
		return errors.New("reading the kubeconfig: its current context is incomplete")
	}
	to, err := clientcmd.LoadFromFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		to, err = api.NewConfig(), nil
	}
	if err != nil {
		return fmt.Errorf("reading the kubeconfig %s: %w", file, err)
	}
	cluster := from.Clusters[context.Cluster].DeepCopy()
	if config.Server != "" {
		cluster.Server, cluster.TLSServerName = config.Server, config.ServerName
	}
	to.Clusters[name], to.AuthInfos[name] = cluster, from.AuthInfos[context.AuthInfo].DeepCopy()
	to.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	if to.CurrentContext == "" {
		to.CurrentContext = name
	}
	content, err := clientcmd.Write(*to)
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return replace(file, content)
}

// replace writes a file whole or not at all.
func replace(name string, content []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), ".kubeconfig-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
			err = fmt.Errorf("writing the kubeconfig: %w", err)
		}
	}()
	if _, err := temporary.Write(content); err != nil {
		temporary.Close()
		return err
	}
	if err := errors.Join(temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}
