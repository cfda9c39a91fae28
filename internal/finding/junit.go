package finding

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
)

// JUnit writes findings as the test report that CI systems read: one suite for each group
// of rules, one case for each rule that found nothing, and one for each finding.
func JUnit(w io.Writer, findings []Finding, run Run) error {
	var groups []string
	of := map[string]string{}
	for _, rule := range run.Rules {
		of[rule.ID] = rule.Group
		if !slices.Contains(groups, rule.Group) {
			groups = append(groups, rule.Group)
		}
	}
	const other = "other" // findings of rules that are not listed
	suites := map[string]*junitSuite{}
	suite := func(group string) *junitSuite {
		if group == "" {
			group = other
		}
		if suites[group] == nil {
			suites[group] = &junitSuite{Name: group}
		}
		return suites[group]
	}
	found := map[string]bool{}
	for _, f := range findings {
		found[f.Rule] = true
		s := suite(of[f.Rule])
		place := clean(f.Position.File)
		if f.Position.Line > 0 {
			place += fmt.Sprintf(":%d:%d", f.Position.Line, f.Position.Column)
		}
		lines := []string{strings.TrimSpace(place + " " + clean(f.Message))}
		if f.Fix != "" {
			lines = append(lines, "fix: "+clean(f.Fix))
		}
		if len(f.Sites) > 0 {
			lines = append(lines, "sites: "+clean(strings.Join(f.Sites, ", ")))
		}
		if len(f.Also) > 0 {
			lines = append(lines, "also: "+clean(strings.Join(f.Also, ", ")))
		}
		s.Failures++
		s.Cases = append(s.Cases, junitCase{
			Class: "archipel." + s.Name, Name: strings.TrimSpace(clean(f.Rule) + " " + place), File: clean(f.Position.File), Line: f.Position.Line,
			Failure: &junitFailure{Type: f.Severity.String(), Message: clean(f.Message), Text: strings.Join(lines, "\n")},
		})
	}
	for _, rule := range run.Rules {
		if !found[rule.ID] {
			s := suite(rule.Group)
			s.Cases = append(s.Cases, junitCase{Class: "archipel." + s.Name, Name: rule.ID})
		}
	}
	for _, skip := range run.Skipped {
		s := suite("skipped")
		s.Skipped++
		s.Cases = append(s.Cases, junitCase{
			Class: "archipel.skipped", Name: clean(skip.Code), Skipped: &junitSkipped{fmt.Sprintf("%d times: %s", skip.Count, clean(skip.Reason))},
		})
	}
	report := junitReport{Name: run.Name}
	for _, group := range append(groups, other, "skipped") {
		if s, ok := suites[group]; ok {
			s.Tests = len(s.Cases)
			report.Tests += s.Tests
			report.Failures += s.Failures
			report.Suites = append(report.Suites, *s)
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(report); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

type junitReport struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Line    int           `xml:"line,attr,omitempty"`
	Failure *junitFailure `xml:"failure"`
	Skipped *junitSkipped `xml:"skipped"`
}

type junitFailure struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

type junitSkipped struct {
	Message string `xml:"message,attr"`
}
