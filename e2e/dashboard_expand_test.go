//go:build linux

package e2e

import (
	"fmt"
	"testing"
)

// inView is an expression: whether all nodes of the graph are on the screen, and take a good part of it.
const inView = `(() => {
	const host = document.querySelector(".graph-host"), g = host?.graph;
	if (!g || g.picture.nodes.length === 0) return false;
	const v = g.viewport(), at = g.picture.nodes.map(n => [n.x * v.zoom + v.pan.x, n.y * v.zoom + v.pan.y]);
	const span = i => Math.max(...at.map(p => p[i])) - Math.min(...at.map(p => p[i]));
	return at.every(([x, y]) => x > 0 && x < host.clientWidth && y > 0 && y < host.clientHeight)
		&& (v.zoom > 1 || span(0) > host.clientWidth / 2 || span(1) > host.clientHeight / 2);
})()`

const viewport = "JSON.stringify(" + theGraph + ".viewport())"

// What is opened and closed is fitted into the view, unless somebody has moved that; and no picture of the same mesh moves it.
func TestDashboardFitsWhatOpens(t *testing.T) {
	l := serveLarge(t)
	b := onLarge(t, l)
	b.drawn(l.base + "/meshes/large/graph")
	nodes := func(n int) string {
		return fmt.Sprintf("document.querySelector('.graph-host')?.graph?.picture.nodes.length === %d", n)
	}
	b.until("the namespaces, all in view", nodes(largeNamespaces)+" && "+inView)
	b.press("button", "Expand all")
	b.until("every node, all in view", nodes(largeNodes)+" && "+inView)
	b.still()
	b.press("button", "Collapse")
	b.until("the namespaces again, all in view", nodes(largeNamespaces)+" && "+inView)

	b.drawn(l.base + "/meshes/large/graph?expand=ns-03")
	b.until("one namespace is open", nodes(largeNamespaces-1+2*largeApps)+" && "+inView)

	// A view that somebody has moved is left alone.
	b.drawn(l.base + "/meshes/large/graph")
	b.until("the namespaces", nodes(largeNamespaces))
	eval[bool](b, theGraph+".zoomBy(1.5), true")
	byHand := eval[string](b, viewport)
	b.press("button", "Expand all")
	b.until("every node", nodes(largeNodes))
	b.still()
	if now := eval[string](b, viewport); now != byHand {
		b.t.Errorf("the view was moved by hand to %s, and is at %s", byHand, now)
	}
	b.to("Table")
	b.to("Graph")
	b.until("the graph", "document.querySelector('.graph-host')?.graph?.picture.nodes.length > 0")
	if now := eval[string](b, viewport); now != byHand {
		b.t.Errorf("the view was left at %s, and is found at %s", byHand, now)
	}
	b.press("button", "Fit the graph into the view")
	b.until("all in view", inView)
}

// still waits for a new picture, and wants the view where it was.
func (b *browser) still() {
	b.t.Helper()
	before := eval[string](b, "window.old = "+theGraph+".picture, "+viewport)
	b.until("another picture", theGraph+".picture !== window.old")
	if after := eval[string](b, viewport); after != before {
		b.t.Errorf("the view moved with a picture of the same mesh, from %s to %s", before, after)
	}
}
