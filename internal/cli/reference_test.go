package cli

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"archipel/internal/archtest"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the generated files and the golden files")

// testRoot is the tree of commands, for tests that do not run any.
func testRoot() *cobra.Command {
	return newRootCmd(&Env{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" },
	})
}

// walk calls see for a command and all below it, in the order of the help.
func walk(cmd *cobra.Command, see func(*cobra.Command)) {
	see(cmd)
	for _, child := range cmd.Commands() {
		walk(child, see)
	}
}

func TestGeneratedReference(t *testing.T) {
	archtest.Generated(t, filepath.Join("..", "..", "docs", "reference", "cli.md"), referencePage(testRoot()), *update)
}

// referencePage is the reference of all commands, in Markdown.
func referencePage(root *cobra.Command) []byte {
	var page bytes.Buffer
	page.WriteString("# Commands\n\nEvery command and flag, from the program's own help: `archipel help <command>` shows the same.\n" +
		"`archipel completion bash`, `zsh`, `fish` and `powershell` print a script that completes commands, flags and the names of sites.\n" +
		"The flags of `archipel` and of `archipel lab` hold for the commands below them too.\n\n" +
		"This page is generated: `make generate` writes it.\n")
	walk(root, func(cmd *cobra.Command) {
		if !cmd.Runnable() || cmd.Hidden {
			return
		}
		fmt.Fprintf(&page, "\n## %s\n\n%s.\n\n```\n%s\n```\n\n%s\n", cmd.CommandPath(), cmd.Short, cmd.UseLine(), escape(cmd.Long))
		if cmd.HasSubCommands() {
			page.WriteString("\n| command | what it does |\n|---|---|\n")
			for _, child := range cmd.Commands() {
				if child.IsAvailableCommand() {
					fmt.Fprintf(&page, "| [%s](#%s) | %s |\n", child.CommandPath(), strings.ReplaceAll(child.CommandPath(), " ", "-"), escape(child.Short))
				}
			}
		}
		flagTable(&page, cmd.LocalFlags())
		if cmd.Example != "" {
			fmt.Fprintf(&page, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(cmd.Example, "  "), "\n  ", "\n"))
		}
	})
	return page.Bytes()
}

func flagTable(page *bytes.Buffer, flags *pflag.FlagSet) {
	var rows bytes.Buffer
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "`--" + f.Name
		if value != "" {
			name += " " + value
		}
		name += "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		standard := ""
		if f.DefValue != "" && f.DefValue != "false" {
			standard = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(&rows, "| %s | %s | %s |\n", name, standard, escape(usage))
	})
	if rows.Len() == 0 {
		return
	}
	page.WriteString("\n| flag | default | meaning |\n|---|---|---|\n" + rows.String())
}

// escape keeps text from being read as a tag or the end of a cell.
func escape(text string) string {
	return strings.NewReplacer("<", `\<`, "|", `\|`).Replace(text)
}
