package graph

// Theme is the colours of a drawing.
type Theme uint8

// The themes.
const (
	Light Theme = iota
	Dark
)

// palette holds the colours of a theme, as #rrggbb. Every colour that says something stands out from the ground and from a
// namespace's box by 4.5 to 1 at least; a test holds it to that.
type palette struct {
	ground, box, boxLine, node, nodeLine, text, muted string
	lock                                              [LockBroken + 1]string
}

func (t Theme) palette() *palette {
	if t == Dark {
		return &palette{ground: "#0d1117", box: "#151b23", boxLine: "#3d444d", node: "#0d1117", nodeLine: "#8b949e",
			text: "#e6edf3", muted: "#9da7b1",
			lock: [...]string{LockUnknown: "#9da7b1", LockLocked: "#3fb950", LockMixed: "#e3b341", LockOpen: "#ff7b72", LockBroken: "#ffa198"}}
	}
	return &palette{ground: "#ffffff", box: "#f6f8fa", boxLine: "#c8d1da", node: "#ffffff", nodeLine: "#59636e",
		text: "#1f2328", muted: "#59636e",
		lock: [...]string{LockUnknown: "#59636e", LockLocked: "#116329", LockMixed: "#7d4e00", LockOpen: "#cf222e", LockBroken: "#82071e"}}
}
