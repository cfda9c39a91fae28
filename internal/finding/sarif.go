package finding

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
)

// SARIF writes findings as a log of SARIF 2.1.0, which code scanning services read
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html). Columns are those of
// the findings, in bytes: they differ from SARIF's in lines that are not ASCII.
func SARIF(w io.Writer, findings []Finding, run Run) error {
	rules := slices.Clone(run.Rules)
	slices.SortFunc(rules, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
	driver := sarifDriver{Name: "archipel", Version: run.Version, Rules: []sarifRule{}}
	index := map[string]int{}
	for i, rule := range rules {
		index[rule.ID] = i
		driver.Rules = append(driver.Rules, sarifRule{
			ID: rule.ID, Short: sarifText{rule.Summary}, Full: sarifText{rule.Reason}, Help: rule.Help,
			Default: sarifLevel{rule.Severity.String()}, Properties: map[string]string{"group": rule.Group},
		})
	}
	invocation := sarifInvocation{Successful: true, Notifications: []sarifNotification{}}
	for _, skip := range run.Skipped {
		invocation.Notifications = append(invocation.Notifications, sarifNotification{
			Descriptor: sarifID{skip.Code}, Level: "note", Message: sarifText{fmt.Sprintf("skipped %d times: %s", skip.Count, clean(skip.Reason))},
		})
	}
	results := make([]sarifResult, len(findings))
	for i, f := range findings {
		text := clean(f.Message)
		if f.Fix != "" {
			text += ". Fix: " + clean(f.Fix)
		}
		results[i] = sarifResult{Rule: f.Rule, Level: f.Severity.String(), Message: sarifText{text}}
		if at, ok := index[f.Rule]; ok {
			results[i].Index = &at
		}
		if f.Position.File != "" {
			place := sarifPhysical{Artifact: sarifArtifact{URI: (&url.URL{Path: f.Position.File}).EscapedPath(), Base: "ROOT"}}
			if f.Position.Line > 0 {
				place.Region = &sarifRegion{Line: f.Position.Line, Column: f.Position.Column}
				if f.Position.Column > 0 {
					place.Region.End = f.Position.Column + max(f.Position.Width, 1)
				}
			}
			results[i].Locations = []sarifLocation{{Physical: place}}
		}
		for name, values := range map[string][]string{"sites": f.Sites, "also": f.Also} {
			if len(values) > 0 {
				if results[i].Properties == nil {
					results[i].Properties = map[string][]string{}
				}
				results[i].Properties[name] = values
			}
		}
		if f.Subject != "" && len(results[i].Locations) > 0 {
			results[i].Locations[0].Logical = []sarifLogical{{Name: clean(f.Subject), Kind: "object"}}
		}
	}
	log := sarifLog{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0",
		Runs: []sarifRun{{
			Tool: sarifTool{driver}, Invocations: []sarifInvocation{invocation}, Results: results, Columns: "utf16CodeUnits",
			Bases: map[string]sarifBase{"ROOT": {sarifText{"The root of the repository."}}},
		}},
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(log)
}

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool            `json:"tool"`
	Invocations []sarifInvocation    `json:"invocations"`
	Bases       map[string]sarifBase `json:"originalUriBaseIds"`
	Columns     string               `json:"columnKind"`
	Results     []sarifResult        `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version,omitempty"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID         string            `json:"id"`
	Short      sarifText         `json:"shortDescription"`
	Full       sarifText         `json:"fullDescription"`
	Help       string            `json:"helpUri,omitempty"`
	Default    sarifLevel        `json:"defaultConfiguration"`
	Properties map[string]string `json:"properties,omitempty"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifLevel struct {
	Level string `json:"level"`
}

type sarifID struct {
	ID string `json:"id"`
}

type sarifBase struct {
	Description sarifText `json:"description"`
}

type sarifInvocation struct {
	Successful    bool                `json:"executionSuccessful"`
	Notifications []sarifNotification `json:"toolExecutionNotifications"`
}

type sarifNotification struct {
	Descriptor sarifID   `json:"descriptor"`
	Level      string    `json:"level"`
	Message    sarifText `json:"message"`
}

type sarifResult struct {
	Rule       string              `json:"ruleId"`
	Index      *int                `json:"ruleIndex,omitempty"`
	Level      string              `json:"level"`
	Message    sarifText           `json:"message"`
	Locations  []sarifLocation     `json:"locations,omitempty"`
	Properties map[string][]string `json:"properties,omitempty"`
}

type sarifLocation struct {
	Physical sarifPhysical  `json:"physicalLocation"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifLogical struct {
	Name string `json:"fullyQualifiedName"`
	Kind string `json:"kind"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI  string `json:"uri"`
	Base string `json:"uriBaseId"`
}

type sarifRegion struct {
	Line   int `json:"startLine"`
	Column int `json:"startColumn,omitempty"`
	End    int `json:"endColumn,omitempty"`
}
