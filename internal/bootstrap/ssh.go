package bootstrap

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"archipel/internal/tool"
)

//go:embed *.sh
var scripts embed.FS

// script is what runs on a host.
func script(name string) string {
	content, _ := scripts.ReadFile(name) // it is part of the program
	return string(content)
}

// SSHError is a host that ssh does not reach.
type SSHError struct {
	Host   string
	Reason string
	Fix    string
}

func (e *SSHError) Error() string { return fmt.Sprintf("%s: %s", e.Host, e.Reason) }

// sshSession says how ssh connects.
type sshSession int

const (
	shared sshSession = iota // over the connection that Ansible uses too
	own                      // over a connection of its own, which nothing else ends
)

// sshArgs are the arguments of ssh for a command on a host. The key of a host that
// nobody has seen is never accepted, whatever the inventory says.
func (a *Ansible) sshArgs(h Host, session sshSession, command string) []string {
	args := []string{
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10",
		"-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
	}
	if session == shared {
		args = append(args, "-o", "ControlMaster=auto", "-o", "ControlPersist=60s", "-o", "ControlPath="+a.Cache+"/%C")
	} else {
		args = append(args, "-o", "ControlMaster=no", "-o", "ControlPath=none")
	}
	return append(append(args, h.destination()...), command)
}

// destination is how ssh is told where to connect to.
func (h Host) destination() []string {
	var args []string
	if h.Port != 0 {
		args = append(args, "-o", "Port="+strconv.Itoa(h.Port))
	}
	if h.Key != "" {
		args = append(args, "-o", "IdentityFile="+h.Key)
	}
	args = append(args, h.Args...)
	if h.User != "" {
		args = append(args, "-o", "User="+h.User)
	}
	return append(args, "--", h.SSHHost)
}

// Login is the command line with which a person logs in to the host.
func (h Host) Login() string {
	words := []string{"ssh"}
	if h.Port != 0 && h.Port != 22 {
		words = append(words, "-p", strconv.Itoa(h.Port))
	}
	if h.Key != "" {
		words = append(words, "-i", Quote(h.Key))
	}
	for _, arg := range h.Args {
		words = append(words, Quote(arg))
	}
	if h.User != "" {
		return strings.Join(append(words, Quote(h.User+"@"+h.SSHHost)), " ")
	}
	return strings.Join(append(words, Quote(h.SSHHost)), " ")
}

// Quote writes a word so that a shell reads it as it is.
func Quote(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@,+%") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// command writes words as one command line of a shell.
func command(words ...string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = Quote(word)
	}
	return strings.Join(quoted, " ")
}

// maxAnswer bounds what a host may answer.
const maxAnswer = 1 << 20

// Ask runs a command on a host, gives it in, and returns what it prints. The error
// is a *SSHError when the host was not reached.
func (a *Ansible) Ask(ctx context.Context, h Host, in io.Reader, words ...string) ([]byte, error) {
	out, err := a.ask(ctx, h, in, words...)
	if _, isSSH := errors.AsType[*SSHError](err); isSSH || err == nil || ctx.Err() != nil {
		return out, err
	}
	if exit, ok := errors.AsType[*tool.ExitError](err); ok {
		reason := exit.Err.Error()
		if n := len(exit.Stderr); n > 0 {
			reason = strings.TrimSpace(exit.Stderr[n-1])
		}
		return out, fmt.Errorf("%s: %s: %s", h.Name, words[0], reason)
	}
	return out, err
}

func (a *Ansible) ask(ctx context.Context, h Host, in io.Reader, words ...string) ([]byte, error) {
	out, err := tool.Run(ctx, tool.Command{
		Name: a.SSH, Args: a.sshArgs(h, shared, command(words...)), Env: a.Environ, In: in, Grace: time.Second,
	})
	if len(out) > maxAnswer {
		return nil, fmt.Errorf("%s answers more than archipel reads", h.Name)
	}
	return out, a.explainSSH(h, err)
}

// Download runs a command on a host and writes what it prints to w.
func (a *Ansible) Download(ctx context.Context, h Host, w io.Writer, words ...string) error {
	err := tool.Stream(ctx, tool.Command{
		Name: a.SSH, Args: a.sshArgs(h, shared, command(words...)), Env: a.Environ, Grace: time.Second,
	}, w)
	return a.explainSSH(h, err)
}

// Sudo is Ask as root.
func (a *Ansible) Sudo(ctx context.Context, h Host, words ...string) ([]byte, error) {
	return a.Ask(ctx, h, nil, append([]string{"sudo", "-n", "--"}, words...)...)
}

// sshFailed is the exit status of ssh itself, as ssh(1) says.
const sshFailed = 255

// explainSSH says what to do about a host that ssh does not reach.
func (a *Ansible) explainSSH(h Host, err error) error {
	exit, ok := errors.AsType[*tool.ExitError](err)
	if !ok {
		return err
	}
	code, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](exit.Err)
	if !ok || code.ExitCode() != sshFailed {
		return err
	}
	said := strings.Join(exit.Stderr, "\n")
	last := "ssh gives no reason"
	if n := len(exit.Stderr); n > 0 {
		last = strings.TrimSpace(exit.Stderr[n-1])
	}
	e := &SSHError{Host: h.Name, Reason: last, Fix: "try it: " + h.Login()}
	switch {
	case strings.Contains(said, "IDENTIFICATION HAS CHANGED"):
		e.Reason = "its host key is another one than ssh knows"
		e.Fix = "if the host was installed anew: ssh-keygen -R " + Quote(h.knownAs()) + ", then compare the new key: " + h.Login()
	case strings.Contains(said, "Host key verification failed"), strings.Contains(said, "host key is known for"):
		e.Reason = "ssh does not know its host key"
		e.Fix = "compare the key with the one that the host's console shows, and accept it once: " + h.Login()
	case strings.Contains(said, "Permission denied"):
		e.Reason = "it refuses the login: " + strings.TrimSpace(afterColon(last))
		e.Fix = "give it your key: " + strings.Replace(h.Login(), "ssh ", "ssh-copy-id ", 1)
	case strings.Contains(said, "Connection refused"):
		e.Reason, e.Fix = "nothing listens for ssh at "+h.endpoint(), "start sshd there, or correct ansible_host and ansible_port"
	case strings.Contains(said, "Could not resolve hostname"):
		e.Reason, e.Fix = "its name "+h.SSHHost+" has no address", "correct ansible_host in "+inventoryOf(h.Site)
	case strings.Contains(said, "timed out"), strings.Contains(said, "No route to host"), strings.Contains(said, "unreachable"):
		e.Reason, e.Fix = "nothing answers at "+h.endpoint()+" ("+strings.TrimSpace(afterColon(last))+")", "start the host, or correct ansible_host in "+inventoryOf(h.Site)
	}
	return e
}

func inventoryOf(site string) string { return "kubernetes/ansible/inventories/" + site + "/hosts.yml" }

func (h Host) endpoint() string {
	if h.Port != 0 {
		return h.SSHHost + ":" + strconv.Itoa(h.Port)
	}
	return h.SSHHost
}

// knownAs is the name of the host in known_hosts.
func (h Host) knownAs() string {
	if h.Port != 0 && h.Port != 22 {
		return "[" + h.SSHHost + "]:" + strconv.Itoa(h.Port)
	}
	return h.SSHHost
}

// afterColon is the end of a line, which says why.
func afterColon(line string) string { return line[strings.LastIndex(line, ": ")+1:] }

// oneLine makes what a host said fit for a message.
func oneLine(text string) string {
	text = strings.TrimSpace(regexp.MustCompile(`\s+`).ReplaceAllString(text, " "))
	const most = 300
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}
