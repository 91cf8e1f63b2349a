package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/orderedjson"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// about is what messages are about: the verb, and the store and the feature
// that it works on when they are known.
type about struct{ command, store, feature string }

// message is a line on stderr: a text, or with --log-format json an object.
type message struct {
	level, code, text, feature string
}

// fallbackUsed is the code of the warnings that are said once a run.
const fallbackUsed = "FALLBACK_USED"

// warn says what a library warns of. Tables of fallback stores are told by
// endMessages, together.
func (a *app) warn(warnings []metaxy.Warning) {
	for _, w := range warnings {
		if w.Code == fallbackUsed {
			if !slices.Contains(a.fallbacks, w) {
				a.fallbacks = append(a.fallbacks, w)
			}
			continue
		}
		a.say(message{"warn", w.Code, w.Message + remedy(&w), w.Feature})
	}
}

// remedy says which command mends what a library warns of.
func remedy(w *metaxy.Warning) string {
	if w.Code == "SMALL_FILES" {
		return ": `metaxy-delta optimize " + w.Feature + "` merges them"
	}
	return ""
}

// warning is a warning of the command itself; the code may be "".
func (a *app) warning(code, text string) { a.say(message{"warn", code, text, ""}) }

// note is a line of information.
func (a *app) note(text string) { a.say(message{level: "info", text: text}) }

// endMessages says what is said once, at the end of a run.
func (a *app) endMessages() {
	if len(a.fallbacks) == 1 {
		w := a.fallbacks[0]
		a.say(message{"warn", w.Code, w.Message, w.Feature})
	} else if len(a.fallbacks) > 1 {
		var names []string
		for _, w := range a.fallbacks {
			if !slices.Contains(names, w.Feature) {
				names = append(names, w.Feature)
			}
		}
		a.say(message{"warn", fallbackUsed, fmt.Sprintf("%d features have no table in the store and are read from fallback stores: %s", len(names), strings.Join(names, ", ")), ""})
	}
	if text := a.traffic.String(); text != "" {
		a.note("Note: " + text)
	}
}

// say writes a message unless --quiet keeps it silent. The same warning is said
// once a run.
func (a *app) say(m message) {
	if a.flags.quiet || m.level == "warn" && slices.Contains(a.warned, m) {
		return
	}
	if m.level == "warn" {
		a.warned = append(a.warned, m)
	}
	if a.flags.logFormat == "json" {
		a.logLine(m.level, orderedjson.Object{member("code", m.code), member("message", m.text)}, m.feature)
		return
	}
	a.clearProgress()
	text := m.text
	if m.code != "" {
		text = m.code + ": " + text
	}
	if m.level == "warn" {
		text = "Warning: " + text
	}
	a.sayLine(text)
}

// logLine writes an object with its time, level and what it is about.
func (a *app) logLine(level string, what orderedjson.Object, feature string) {
	if feature == "" {
		feature = a.about.feature
	}
	line := orderedjson.Object{member("time", a.now().Format(time.RFC3339Nano)), member("level", level)}
	line = append(append(line, what...), member("feature", feature), member("store", a.about.store), member("command", a.about.command))
	writeJSONLine(a.stderr(), line)
}

// sayLine writes a text for people, with its first word in colour where that is
// one of a kind of messages.
func (a *app) sayLine(text string) {
	text = terminal.Printable(text)
	style := terminal.Style{Color: a.colored(terminal.Is(a.sys.stderr))}
	for word, paint := range map[string]terminal.Paint{"Error:": terminal.Red, "Warning:": terminal.Yellow, "Hint:": terminal.Cyan, "✓": terminal.Green} {
		if rest, ok := strings.CutPrefix(text, word+" "); ok {
			text = style.Paint(paint, word) + " " + rest
		}
	}
	io.WriteString(a.stderr(), text+"\n")
}
