package cron

import (
	"testing"
	"time"
)

func TestDue(t *testing.T) {
	at := func(text string) time.Time {
		parsed, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for _, test := range []struct {
		schedule, at string
		want         bool
	}{
		{"* * * * *", "2026-11-28 10:31", true},
		{"0 */12 * * *", "2026-11-28 12:00", true},
		{"0 */12 * * *", "2026-11-28 00:00", true},
		{"0 */12 * * *", "2026-11-28 12:01", false},
		{"0 */12 * * *", "2026-11-28 06:00", false},
		{"5,35 1-3 * * *", "2026-11-28 03:35", true},
		{"5,35 1-3 * * *", "2026-11-28 04:35", false},
		{"10/20 * * * *", "2026-11-28 04:50", true},
		{"10/20 * * * *", "2026-11-28 04:00", false},
		{"0 0 1 * *", "2026-11-01 00:00", true},
		{"0 0 * * 7", "2026-11-29 00:00", true}, // a Sunday
		{"0 0 * * 0", "2026-11-29 00:00", true},
		{"0 0 1 * 6", "2026-11-28 00:00", true}, // either will do
		{"0 0 1 * 6", "2026-11-01 00:00", true},
		{"0 0 1 * 6", "2026-11-02 00:00", false},
	} {
		schedule, err := Parse(test.schedule)
		if err != nil {
			t.Fatal(err)
		}
		if schedule.Due(at(test.at)) != test.want {
			t.Errorf("%s at %s: not %v", test.schedule, test.at, test.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "* * * *", "60 * * * *", "* * 0 * *", "a * * * *", "1-x * * * *", "*/0 * * * *", "5-1 * * * *", "@daily", "-1 * * * *"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
