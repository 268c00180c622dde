package main

import (
	"errors"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// drawAll draws the plots of a report into a folder.
func drawAll(r *Report, folder string) error {
	if folder == "" {
		return errors.New("-docs says where the plots go")
	}
	byConnections := chart{
		title: "What one delivery costs, by the number of connections", x: "subscribers",
		note: "One publisher, 100-byte messages, one broadcast at a time. Kabar stores each message on the disk first.", points: plotConnections,
	}
	bySize := chart{
		title: "What one delivery costs, by the size of a message", x: "bytes of a message",
		note: "One publisher, 100 subscribers, one broadcast at a time. Kabar stores each message on the disk first.", points: plotSizes,
	}
	where := fmt.Sprintf("%s, Linux %s, %s, commit %s, %s", r.Machine.CPU, r.Machine.Kernel, r.Machine.Go, r.Commit, r.Date[:10])
	for _, p := range []struct {
		c         chart
		job, file string
	}{{byConnections, "fan-%d", "performance-connections.svg"}, {bySize, "size-%d", "performance-size.svg"}} {
		p.c.where = where
		for _, who := range plotted {
			s := series{name: who}
			for _, at := range p.c.points {
				if v, is := r.median(fmt.Sprintf(p.job, at), who, "cpu_us"); is && v > 0 {
					s.at, s.values = append(s.at, at), append(s.values, v)
				}
			}
			if len(s.at) > 0 {
				p.c.series = append(p.c.series, s)
			}
		}
		if len(p.c.series) == 0 {
			return fmt.Errorf("there is nothing to draw in %s", p.file)
		}
		if err := os.WriteFile(filepath.Join(folder, p.file), []byte(p.c.svg()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// A chart has logarithmic axes; y is CPU µs of the server.
type chart struct {
	title, note, where, x string
	points                []int // where the x axis has its marks
	series                []series
}

type series struct {
	name   string
	at     []int
	values []float64
}

// The picture's size, and the place of the plot in it.
const (
	width, height            = 880, 566
	left, right, top, bottom = 74, 846, 112, 470
)

// style has every colour twice, for light and for dark.
const style = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 18px; font-weight: 600 } .note, .tick { font-size: 12px; fill: #59636e }
  .back { fill: #ffffff } .grid { stroke: #d8dee4 } .axis { stroke: #818b98 }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round } .mark { stroke: #ffffff; stroke-width: 1 }
  .floor { stroke: #59636e; stroke-dasharray: 6 4 } .kabar { stroke: #0550ae; stroke-width: 3.5 }
  .gorilla { stroke: #bc4c00 } .gws { stroke: #1a7f37 } .coder { stroke: #8250df } .gobwas { stroke: #bf3989 }
  .mark.floor { fill: #59636e; stroke-dasharray: none } .mark.kabar { fill: #0550ae }
  .mark.gorilla { fill: #bc4c00 } .mark.gws { fill: #1a7f37 } .mark.coder { fill: #8250df } .mark.gobwas { fill: #bf3989 }
  .mark.floor, .mark.kabar, .mark.gorilla, .mark.gws, .mark.coder, .mark.gobwas { stroke: #ffffff; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note, .tick { fill: #9198a1 } .back { fill: #0d1117 } .grid { stroke: #262c36 } .axis { stroke: #6e7681 }
    .floor { stroke: #9198a1 } .kabar { stroke: #58a6ff } .gorilla { stroke: #f0883e } .gws { stroke: #3fb950 } .coder { stroke: #bc8cff } .gobwas { stroke: #f778ba }
    .mark.floor { fill: #9198a1 } .mark.kabar { fill: #58a6ff } .mark.gorilla { fill: #f0883e } .mark.gws { fill: #3fb950 } .mark.coder { fill: #bc8cff } .mark.gobwas { fill: #f778ba }
    .mark.floor, .mark.kabar, .mark.gorilla, .mark.gws, .mark.coder, .mark.gobwas { stroke: #0d1117 }
  }
`

// svg is the picture.
func (c chart) svg() string {
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, height, html.EscapeString(c.title))
	put("<style>%s</style>", style)
	put(`<rect class="back" width="%d" height="%d"/>`, width, height)
	put(`<text class="title" x="24" y="34">%s</text>`, html.EscapeString(c.title))
	put(`<text class="note" x="24" y="%d">%s</text>`, height-32, html.EscapeString(c.note))
	put(`<text class="note" x="24" y="%d">%s</text>`, height-14, html.EscapeString(c.where))
	x := logScale(float64(c.points[0]), float64(c.points[len(c.points)-1]), left+14, right-14)
	low, high := c.bounds()
	y := logScale(low, high, bottom, top)

	put(`<text class="tick" x="24" y="%d">CPU µs of the server for each message delivered</text>`, top-14)
	for _, v := range marks(low, high) {
		put(`<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, left, right, y(v), y(v))
		put(`<text class="tick" x="%d" y="%.1f" text-anchor="end">%g</text>`, left-8, y(v)+4, v)
	}
	for _, v := range c.points {
		put(`<line class="axis" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, x(float64(v)), x(float64(v)), bottom, bottom+5)
		put(`<text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>`, x(float64(v)), bottom+20, thousands(float64(v)))
	}
	put(`<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>`, left, right, bottom, bottom)
	put(`<text x="%d" y="%d" text-anchor="middle">%s</text>`, (left+right)/2, bottom+42, html.EscapeString(c.x))

	// The product comes last, so that it lies above the others.
	for pass := range 2 {
		for i, s := range c.series {
			if (s.name == "kabar") != (pass == 1) {
				continue
			}
			var points []string
			for k, at := range s.at {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(float64(at)), y(s.values[k])))
			}
			put(`<polyline class="line %s" points="%s"/>`, s.name, strings.Join(points, " "))
			for k, at := range s.at {
				put(`<path class="mark %s" d="%s"><title>%s: %.2f µs at %s</title></path>`,
					s.name, shape(i, x(float64(at)), y(s.values[k])), s.name, s.values[k], thousands(float64(at)))
			}
		}
	}
	for i, s := range c.series {
		at := float64(24 + i*112)
		put(`<line class="line %s" x1="%.0f" x2="%.0f" y1="62" y2="62"/><path class="mark %s" d="%s"/>`, s.name, at, at+30, s.name, shape(i, at+15, 62))
		put(`<text x="%.0f" y="66">%s</text>`, at+38, s.name)
	}
	put("</svg>")
	return b.String()
}

// shape is a mark, so that lines can be told apart without colours.
func shape(i int, x, y float64) string {
	switch i % 6 {
	case 0:
		return fmt.Sprintf("M%.1f %.1fh9v9h-9z", x-4.5, y-4.5)
	case 1:
		return fmt.Sprintf("M%.1f %.1fa5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0 -11 0z", x-5.5, y)
	case 2:
		return fmt.Sprintf("M%.1f %.1fl6 6l-6 6l-6 -6z", x, y-6)
	case 3:
		return fmt.Sprintf("M%.1f %.1fl6 10h-12z", x, y-6)
	case 4:
		return fmt.Sprintf("M%.1f %.1fl6 -10h-12z", x, y+6)
	default:
		return fmt.Sprintf("M%.1f %.1fh5v10h-5z", x-2.5, y-5)
	}
}

func logScale(low, high, from, to float64) func(v float64) float64 {
	return func(v float64) float64 {
		return from + (to-from)*(math.Log(v)-math.Log(low))/(math.Log(high)-math.Log(low))
	}
}

// bounds are those of the y axis: the marks around all values.
func (c chart) bounds() (low, high float64) {
	low, high = math.Inf(1), 0
	for _, s := range c.series {
		for _, v := range s.values {
			low, high = min(low, v), max(high, v)
		}
	}
	all := marks(low/10, high*10)
	for i, v := range all {
		if v <= low && (i+1 == len(all) || all[i+1] > low) {
			low = v
			break
		}
	}
	for _, v := range all {
		if v >= high {
			return low, v
		}
	}
	return low, high
}

// marks are 1, 2 and 5 times the powers of ten between two values.
func marks(low, high float64) []float64 {
	var all []float64
	for power := math.Pow(10, math.Floor(math.Log10(low))); power <= high; power *= 10 {
		for _, step := range []float64{1, 2, 5} {
			if v := power * step; v >= low*0.999 && v <= high*1.001 {
				all = append(all, v)
			}
		}
	}
	return all
}
