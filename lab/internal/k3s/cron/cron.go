// Package cron tells when a cron expression of five fields is due.
package cron

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Schedule is a cron expression.
type Schedule struct {
	fields      [5]uint64 // a bit for each value: minute, hour, day, month, weekday
	day, weekly bool      // the day or the weekday was given
}

// Parse reads minute, hour, day of the month, month and day of the week, each
// of them *, a number, a range, a list of these, or steps of one (*/5).
func Parse(text string) (Schedule, error) {
	bounds := [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}}
	parts := strings.Fields(text)
	if len(parts) != len(bounds) {
		return Schedule{}, fmt.Errorf("reading the schedule %q: it has %d fields, not 5", text, len(parts))
	}
	var s Schedule
	for i, part := range parts {
		for item := range strings.SplitSeq(part, ",") {
			if err := s.add(i, item, bounds[i]); err != nil {
				return Schedule{}, fmt.Errorf("reading the schedule %q: %w", text, err)
			}
		}
	}
	if s.fields[4]&(1<<7) != 0 {
		s.fields[4] |= 1 // Sunday is 0 and 7
	}
	s.day, s.weekly = !strings.HasPrefix(parts[2], "*"), !strings.HasPrefix(parts[4], "*")
	return s, nil
}

func (s *Schedule) add(field int, item string, bounds [2]int) error {
	span, stepText, stepped := strings.Cut(item, "/")
	first, last, step := bounds[0], bounds[1], 1
	var errs [3]error
	if span != "*" {
		from, to, ranged := strings.Cut(span, "-")
		first, errs[0] = strconv.Atoi(from)
		switch {
		case ranged:
			last, errs[1] = strconv.Atoi(to)
		case !stepped:
			last = first
		}
	}
	if stepped {
		step, errs[2] = strconv.Atoi(stepText)
	}
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("%q is no number, range or step", item)
		}
	}
	if first < bounds[0] || last > bounds[1] || first > last || step < 1 {
		return fmt.Errorf("%q is not within %d to %d", item, bounds[0], bounds[1])
	}
	for value := first; value <= last; value += step {
		s.fields[field] |= 1 << value
	}
	return nil
}

// Due says whether the minute of t is one of the schedule's.
func (s Schedule) Due(t time.Time) bool {
	has := func(field, value int) bool { return s.fields[field]&(1<<value) != 0 }
	day, weekly := has(2, t.Day()), has(4, int(t.Weekday()))
	matches := day && weekly
	if s.day && s.weekly { // as cron does: either will do when both are given
		matches = day || weekly
	}
	return matches && has(0, t.Minute()) && has(1, t.Hour()) && has(3, int(t.Month()))
}
