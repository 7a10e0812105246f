package prometheus_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/datagram"
	"example.com/datagram/session"
)

// The dashboard asks for metrics that exist, and shows all of them.
func TestDashboard(t *testing.T) {
	file, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Templating struct {
			List []struct{ Query string }
		}
		Panels []struct {
			Type    string
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(file, &dashboard); err != nil {
		t.Fatal(err)
	}
	unused := make(map[string]bool)
	metrics := slices.Collect(maps.Keys(collect(t, ofHandle(t, datagram.Stats{}), "handle")))
	metrics = slices.AppendSeq(metrics, maps.Keys(collect(t, ofListener(t, session.Stats{}), "listener")))
	for _, name := range metrics {
		name, _, _ = strings.Cut(name, "{")
		unused[name] = true
	}
	exists := maps.Clone(unused)
	names := regexp.MustCompile(`\bdatagram_\w+`)
	check := func(where, query string) {
		found := names.FindAllString(query, -1)
		for _, name := range found {
			if !exists[name] {
				t.Errorf("%s: there is no metric %s", where, name)
			}
			delete(unused, name)
		}
	}
	for _, variable := range dashboard.Templating.List {
		check("variable", variable.Query)
	}
	if len(dashboard.Panels) == 0 {
		t.Error("no panels")
	}
	for _, panel := range dashboard.Panels {
		if panel.Type == "row" {
			continue
		}
		if len(panel.Targets) == 0 {
			t.Errorf("%s shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			if !names.MatchString(target.Expr) {
				t.Errorf("%s: %q asks for no metric", panel.Title, target.Expr)
			}
			check(panel.Title, target.Expr)
		}
	}
	for name := range unused {
		t.Errorf("no panel shows %s", name)
	}
}
