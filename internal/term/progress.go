package term

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"archipel/internal/status"
)

// quiet is how long a stream that is no terminal stays silent while nothing
// changes.
const quiet = 10 * time.Second

// Progress shows what is under way, one line for each name. On a terminal the
// lines are redrawn in place; elsewhere a line is written when it changes, and
// every 10 s when it does not. It is safe for concurrent use.
type Progress struct {
	w     io.Writer
	style Style
	now   func() time.Time

	mu      sync.Mutex
	lines   []*line
	drawn   int // lines on the screen that the next drawing replaces
	stopped bool
	stop    chan struct{}
	ended   sync.WaitGroup
}

type line struct {
	name, text string
	state      status.State
	begun      time.Time
	took       time.Duration // once it is over
	over       bool
	shown      time.Time // when it was last written; plain streams only
}

// NewProgress begins to show progress on w. Stop must be called, also after an
// interrupt: it gives the cursor back. now is the clock; nil means time.Now.
func NewProgress(w io.Writer, style Style, now func() time.Time) *Progress {
	if now == nil {
		now = time.Now
	}
	p := &Progress{w: w, style: style, now: now, stop: make(chan struct{})}
	if style.Live {
		p.write(hideCursor)
	}
	p.ended.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-ticker.C:
				p.tick()
			}
		}
	})
	return p
}

// write drops errors: that progress cannot be shown is no reason to stop.
func (p *Progress) write(text string) { _, _ = io.WriteString(p.w, text) }

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
)

// Set says what name is doing now. The first call starts its clock.
func (p *Progress) Set(name, text string) { p.update(name, text, status.Progressing) }

// Done says that name is finished; its line and its time stay.
func (p *Progress) Done(name, text string) { p.update(name, text, status.Ready) }

// Fail says that name has failed; its line and its time stay.
func (p *Progress) Fail(name, text string) { p.update(name, text, status.Failed) }

func (p *Progress) update(name, text string, state status.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	now := p.now()
	var l *line
	for _, known := range p.lines {
		if known.name == name {
			l = known
		}
	}
	if l == nil {
		l = &line{name: name, begun: now}
		p.lines = append(p.lines, l)
	}
	text = strings.TrimSpace(Clean(text))
	if l.text == text && l.state == state {
		return
	}
	l.text, l.state = text, state
	if over := state != status.Progressing; over != l.over {
		l.over, l.took = over, now.Sub(l.begun)
	}
	if p.style.Live {
		p.draw()
		return
	}
	p.writePlain(l)
}

// Print writes a line that stays, above those that are redrawn.
func (p *Progress) Print(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.style.Live || p.stopped {
		p.write(text + "\n")
		return
	}
	p.write(p.home() + clearBelow + text + "\n")
	p.drawn = 0
	p.draw()
}

// Stop writes the lines a last time and gives the cursor back. Calling it again
// does nothing.
func (p *Progress) Stop() {
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return
	}
	if p.style.Live {
		p.draw()
		p.write(showCursor)
	}
	p.stopped = true
	close(p.stop)
	p.mu.Unlock()
	p.ended.Wait()
}

// tick shows the time that has passed.
func (p *Progress) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	if p.style.Live {
		p.draw()
		return
	}
	for _, l := range p.lines {
		if !l.over && p.now().Sub(l.shown) >= quiet {
			p.writePlain(l)
		}
	}
}

func (p *Progress) writePlain(l *line) {
	l.shown = p.now()
	p.write(p.format(l, 0, 0) + "\n")
}

// home goes back to the first of the lines drawn last.
func (p *Progress) home() string {
	if p.drawn == 0 {
		return "\r"
	}
	return fmt.Sprintf("\r\x1b[%dA", p.drawn)
}

// draw writes all lines over those drawn last, in one write so that nothing
// flickers. Lines that do not fit on the screen could not be reached again:
// they are counted instead.
func (p *Progress) draw() {
	var out strings.Builder
	out.WriteString(p.home())
	names := 0
	for _, l := range p.lines {
		names = max(names, Columns(Clean(l.name)))
	}
	show := p.lines
	if rows := p.style.rows(); rows > 0 && len(show) > rows-2 {
		show = show[:max(rows-2, 1)]
	}
	// A line as wide as the terminal may wrap.
	columns := p.style.Width() - 1
	for _, l := range show {
		out.WriteString(p.format(l, names, columns) + clearLine + "\n")
	}
	drawn := len(show)
	if hidden := len(p.lines) - len(show); hidden > 0 {
		out.WriteString(p.style.Paint(Dim, fmt.Sprintf("  and %d more", hidden)) + clearLine + "\n")
		drawn++
	}
	out.WriteString(clearBelow)
	p.drawn = drawn
	p.write(out.String())
}

// format is a line, cut to columns unless that is 0, with its name padded.
func (p *Progress) format(l *line, names, columns int) string {
	took := l.took
	if !l.over {
		took = p.now().Sub(l.begun)
	}
	mark, colour := look(l.state)
	name := Clean(l.name)
	name += strings.Repeat(" ", max(names-Columns(name), 0))
	head := fmt.Sprintf("%s  %5s  ", name, Elapsed(took))
	text := l.text
	if columns > 0 {
		text = Cut(text, max(columns-2-Columns(head), 1))
	}
	return strings.TrimRight(p.style.Paint(colour, mark)+" "+head+text, " ")
}
