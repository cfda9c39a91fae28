package cli

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestHelpStyle(t *testing.T) {
	count := 0
	walk(testRoot(), func(cmd *cobra.Command) {
		count++
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			checkShort(t, cmd.Short)
			checkLong(t, cmd.Long)
			checkExample(t, cmd.Example)
			cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { checkFlag(t, f) })
			cmd.PersistentFlags().VisitAll(func(f *pflag.Flag) { checkFlag(t, f) })
			if strings.HasSuffix(cmd.Use, sitesUse) && cmd.ValidArgsFunction == nil {
				t.Error("takes sites but does not complete their names")
			}
		})
	})
	if count < 10 {
		t.Errorf("saw %d commands only", count)
	}
}

func checkShort(t *testing.T, short string) {
	t.Helper()
	first, _ := utf8.DecodeRuneInString(short)
	switch {
	case !unicode.IsUpper(first):
		t.Errorf("Short begins with a capital letter: %q", short)
	case strings.HasSuffix(short, "."):
		t.Errorf("Short has no full stop: %q", short)
	case utf8.RuneCountInString(short) > 60:
		t.Errorf("Short has at most 60 characters, not %d: %q", utf8.RuneCountInString(short), short)
	}
}

func checkLong(t *testing.T, long string) {
	t.Helper()
	if !strings.HasSuffix(long, ".") || strings.TrimSpace(long) != long {
		t.Errorf("Long is sentences, without blanks around them: %q", long)
	}
	for line := range strings.Lines(long) {
		if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > helpWidth && strings.Contains(line, " ") {
			t.Errorf("a line of Long is longer than %d columns: %q", helpWidth, line)
		}
	}
}

func checkExample(t *testing.T, example string) {
	t.Helper()
	if example == "" {
		return
	}
	if !strings.Contains(example, "archipel ") {
		t.Errorf("the example does not call archipel: %q", example)
	}
	for line := range strings.Lines(example) {
		if !strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "   ") || strings.TrimSpace(line) == "" {
			t.Errorf("a line of the example is a command after two blanks: %q", line)
		}
	}
	if strings.HasSuffix(example, "\n") {
		t.Error("the example ends with an empty line")
	}
}

func checkFlag(t *testing.T, f *pflag.Flag) {
	t.Helper()
	if f.Name == "help" {
		return
	}
	value, usage := pflag.UnquoteUsage(f)
	first, _ := utf8.DecodeRuneInString(strings.TrimSpace(usage))
	if unicode.IsUpper(first) || strings.HasSuffix(usage, ".") || usage == "" {
		t.Errorf("the usage of --%s begins in lower case and has no full stop: %q", f.Name, usage)
	}
	if f.Value.Type() != "bool" && !strings.Contains(f.Usage, "`") {
		t.Errorf("the usage of --%s names its value in back quotes, else help says %q: %q", f.Name, value, f.Usage)
	}
}
