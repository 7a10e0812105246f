package main

import (
	"fmt"

	"github.com/go-analyze/charts"
)

// The size of a cell of the grid, which has 24 columns, and of what is around it, in pixels.
const (
	columns    = 24
	cellWidth  = 50
	cellHeight = 32
	margin     = 6
	header     = 44
)

// theme is the library's imitation of Grafana.
var theme = charts.GetTheme(charts.ThemeGrafana)

// draw returns the dashboard as SVG.
func draw(d *dashboard, v *view) ([]byte, error) {
	rows := 0
	for _, p := range d.Panels {
		rows = max(rows, p.GridPos.Y+p.GridPos.H)
	}
	page := charts.NewPainter(charts.PainterOptions{
		OutputFormat: charts.ChartOutputSVG, Width: columns * cellWidth, Height: header + rows*cellHeight, Theme: theme,
	})
	page.FilledRect(0, 0, page.Width(), page.Height(), theme.GetBackgroundColor(), theme.GetBackgroundColor(), 0)
	page.Text(d.Title, 2*margin, 30, 0, font(16))
	const note = "drawn from the queries of the dashboard, not by Grafana"
	page.Text(note, page.Width()-2*margin-page.MeasureText(note, 0, font(9)).Width(), 30, 0, font(9))
	for _, p := range d.Panels {
		x, y := p.GridPos.X*cellWidth, header+p.GridPos.Y*cellHeight
		if p.Type == "row" {
			page.Text("⌄ "+p.Title, x+2*margin, y+24, 0, font(13))
			continue
		}
		box := charts.NewBox(x+margin, y+margin, x+p.GridPos.W*cellWidth-margin, y+p.GridPos.H*cellHeight-margin)
		if err := drawPanel(page.Child(charts.PainterBoxOption(box)), p, v); err != nil {
			return nil, fmt.Errorf("panel %q: %w", p.Title, err)
		}
	}
	return page.Bytes()
}

// drawPanel draws the title of a panel, its lines and below them their names.
func drawPanel(page *charts.Painter, p panel, v *view) error {
	lines, gaps, err := linesOf(p, v)
	if err != nil {
		return err
	}
	var list charts.LineSeriesList
	for _, l := range lines {
		list = append(list, charts.LineSeries{Values: l.values})
	}
	names := layOut(page, lines)
	opt := charts.NewLineChartOptionWithSeries(list)
	opt.Theme = theme
	opt.Padding = charts.NewBox(10, 10, 24, len(names)*rowHeight+12)
	opt.Title = charts.TitleOption{Text: p.Title, FontStyle: font(11)}
	opt.Symbol = charts.Symbol{Shape: charts.SymbolNone}
	opt.LineStrokeWidth = 1.2
	opt.FillArea = new(!gaps) // the library fills across gaps
	opt.FillOpacity = 25
	opt.XAxis.Labels = v.times()
	opt.XAxis.BoundaryGap = new(false)
	opt.XAxis.LabelCount = p.GridPos.W/2 + 1
	opt.XAxis.LabelFontStyle = font(8)
	interval, intervals := axis(highest(lines))
	opt.YAxis = []charts.YAxisOption{{
		Min: new(0.0), Max: new(interval * float64(intervals)), LabelCount: intervals + 1,
		LabelFontStyle: font(8), ValueFormatter: formatter(p.FieldConfig.Defaults.Unit),
	}}
	if err := page.LineChart(opt); err != nil {
		return err
	}
	page.FilledRect(0, 0, page.Width(), page.Height(), charts.ColorTransparent, theme.GetAxisSplitLineColor(), 1)
	y := page.Height() - len(names)*rowHeight
	for _, row := range names {
		for _, n := range row {
			page.LineStroke([]charts.Point{{X: n.x, Y: y}, {X: n.x + dash, Y: y}}, theme.GetSeriesColor(n.line), 3)
			page.Text(lines[n.line].name, n.x+dash+4, y+4, 0, font(8))
		}
		y += rowHeight
	}
	return nil
}

// The legend below the lines, in pixels. The library's own has larger symbols, which overlap.
const (
	dash      = 14 // of the line's colour, before its name
	rowHeight = 16
)

// A name is the place of a line's name in a row of the legend.
type name struct{ line, x int }

// layOut distributes the names of lines to as many rows as it takes.
func layOut(page *charts.Painter, lines []line) [][]name {
	const edge = 12
	rows := [][]name{nil}
	x := edge
	for i, l := range lines {
		width := dash + 4 + page.MeasureText(l.name, 0, font(8)).Width()
		if x+width > page.Width()-edge {
			rows = append(rows, nil)
			x = edge
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], name{i, x})
		x += width + edge
	}
	return rows
}

func font(size float64) charts.FontStyle {
	return charts.FontStyle{FontSize: size, FontColor: theme.GetTitleTextColor()}
}
