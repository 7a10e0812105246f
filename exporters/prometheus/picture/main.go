// Command picture draws the dashboard for Grafana without Grafana: it runs an
// example with more load than it can take, records its metrics each second, has
// Prometheus' query engine evaluate the queries of each panel, and draws the
// answers.
//
//	go -C exporters/prometheus/picture run .
package main

import (
	"flag"
	"log"
	"os"
	"time"

	"example.com/datagram/exporters/prometheus"
)

func main() {
	log.SetFlags(0)
	from := flag.String("dashboard", "../dashboard.json", "the dashboard")
	to := flag.String("o", "../dashboard.svg", "the picture")
	length := flag.Duration("for", time.Minute, "the time that the picture shows")
	flag.Parse()
	if err := picture(*from, *to, *length); err != nil {
		log.Fatal(err)
	}
}

func picture(from, to string, length time.Duration) error {
	d, err := readDashboard(from)
	if err != nil {
		return err
	}
	var v *view
	err = run(length/2, func(collector *prometheus.Collector) (err error) {
		v, err = watch(d, collector, length, time.Second)
		return err
	})
	if err != nil {
		return err
	}
	svg, err := draw(d, v)
	if err != nil {
		return err
	}
	return os.WriteFile(to, svg, 0o644)
}

// watch records metrics at each step, and returns a view of the given length. It begins when there are rates.
func watch(d *dashboard, collector *prometheus.Collector, length, step time.Duration) (*view, error) {
	data := newRecorder(collector)
	begin := time.Now().Truncate(step)
	start := begin.Add(rateSteps * step)
	end := start.Add(length)
	tick := time.NewTicker(step)
	defer tick.Stop()
	for at := begin; !at.After(end); at = at.Add(step) {
		<-tick.C
		if err := data.record(at); err != nil {
			return nil, err
		}
	}
	return newView(d, data, start, end, step)
}
