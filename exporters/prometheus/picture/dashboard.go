package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

// A dashboard is what is used of one of Grafana.
type dashboard struct {
	Title      string
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
	Panels []panel
}

type panel struct {
	Title, Type string
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []target
}

type target struct{ Expr, LegendFormat string }

func readDashboard(path string) (*dashboard, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := new(dashboard)
	return d, json.Unmarshal(text, d)
}

// A view is a time of a recording, as a dashboard shows it.
type view struct {
	engine     *promql.Engine
	data       storage.Queryable
	start, end time.Time
	step       time.Duration     // between two scrapes
	variables  map[string]string // of the dashboard
}

// rateSteps is how many steps rates are taken over: Grafana's $__rate_interval is at least four scrapes.
const rateSteps = 4

func newView(d *dashboard, data storage.Queryable, start, end time.Time, step time.Duration) (*view, error) {
	v := &view{
		engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute}),
		data:   data, start: start, end: end, step: step,
		variables: map[string]string{"__rate_interval": fmt.Sprintf("%dms", rateSteps*step.Milliseconds())},
	}
	for _, entry := range d.Templating.List {
		if entry.Type != "query" {
			continue
		}
		values, err := v.values(entry.Query)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", entry.Name, err)
		}
		v.variables[entry.Name] = strings.Join(values, "|") // all of them, as a regular expression
	}
	return v, nil
}

// labelValues is Grafana's query for the values of a label.
var labelValues = regexp.MustCompile(`^label_values\((.+), *(\w+)\)$`)

// values returns the values of a variable.
func (v *view) values(query string) ([]string, error) {
	parts := labelValues.FindStringSubmatch(query)
	if parts == nil {
		return nil, fmt.Errorf("%q is not a query for values", query)
	}
	groups, err := v.query(fmt.Sprintf("group by (%s) (%s)", parts[2], parts[1]))
	if err != nil {
		return nil, err
	}
	var values []string
	for _, s := range groups {
		values = append(values, s.Metric.Get(parts[2]))
	}
	return values, nil
}

// query evaluates an expression at each step of the view.
func (v *view) query(expr string) (promql.Matrix, error) {
	expr, err := replaceAll(variable, expr, func(name string) string { return v.variables[name] })
	if err != nil {
		return nil, err
	}
	q, err := v.engine.NewRangeQuery(context.Background(), v.data, nil, expr, v.start, v.end, v.step)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expr, err)
	}
	matrix, err := q.Exec(context.Background()).Matrix()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expr, err)
	}
	return matrix, nil // the query is not closed, since that lets others use the memory of the result
}

// legend returns the name of a series.
func (t target) legend(set labels.Labels) (string, error) {
	return replaceAll(label, t.LegendFormat, set.Get)
}

var (
	variable = regexp.MustCompile(`\$\{?(\w+)\}?`)     // in a query: $name or ${name}
	label    = regexp.MustCompile(`\{\{ *(\w+) *\}\}`) // in a legend
)

// replaceAll replaces the uses of names in a text with their values, which must not be empty.
func replaceAll(use *regexp.Regexp, text string, value func(name string) string) (replaced string, err error) {
	replaced = use.ReplaceAllStringFunc(text, func(found string) string {
		value := value(use.FindStringSubmatch(found)[1])
		if value == "" {
			err = fmt.Errorf("%s: %s has no value", text, found)
		}
		return value
	})
	return replaced, err
}
