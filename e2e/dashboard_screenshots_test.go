//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestScreenshots makes the pictures of docs/images, where OARLOCK_SCREENSHOTS names that folder: each view of a mesh in which
// most connections are locked, one is open and one is refused.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("OARLOCK_SCREENSHOTS")
	if dir == "" {
		t.Skip("make screenshots makes them")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// The example says mesh-wide that all is allowed. One client insists on plaintext, to a server that does not take it.
	manifests := copyExample(t, "backyards-current")
	rule := "# Sends plaintext to a server that is about to refuse it.\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: payments\n  namespace: backyards-demo\nspec:\n  host: payments\n  trafficPolicy:\n    tls:\n      mode: DISABLE\n"
	if err := os.WriteFile(filepath.Join(manifests, "payments-rule.yaml"), []byte(rule), 0o644); err != nil {
		t.Fatal(err)
	}
	m := upDir(t, manifests, "--name", "jaunty-ferret")
	m.synced()
	m.do("mtls", "require", "backyards-demo/payments:8080", "--yes")
	m.do("mtls", "disable", "backyards-demo/catalog:8080", "--yes")
	s := watch(t, m, wide)
	s.b.open(s.address("graph"))
	s.b.until("something is open, and something broken", lock("bookings-v1 to payments port 8080", "broken")+" && "+lock("frontpage-v1 to catalog port 8080", "open"))
	time.Sleep(30 * time.Second) // charts are empty in a mesh that has just begun
	const broken = "edge:workload/backyards-demo/bookings-v1.Deployment>service/payments.backyards-demo.svc.cluster.local:8080"
	for _, screen := range screens() {
		s.b.look(screen)
		for _, p := range []place{
			{name: "overview", view: "overview"}, {name: "graph", view: "graph"}, {name: "table", view: "table"},
			{name: "security", view: "security"}, {name: "changes", view: "changes"},
			{name: "details", view: "graph", pairs: []string{"sel", broken}},
			{name: "editor", view: "security", pairs: []string{"file", filepath.Join(m.dir, "payments-rule.yaml"), "line", "8"}},
		} {
			s.b.open(s.address(p.view, p.pairs...))
			s.b.settled()
			time.Sleep(time.Second) // what was asked for comes, and the graph is drawn
			s.b.keep(filepath.Join(dir, fmt.Sprintf("%s-%s.png", p.name, screen)))
		}
	}
}

// maxPicture is how large a picture of the documentation may be, in bytes.
const maxPicture = 150_000

// keep writes what the page looks like as a small file: pages have few colours.
func (b *browser) keep(file string) {
	b.t.Helper()
	picture := b.screenshot()
	palette := fewColours(picture)
	small := image.NewPaletted(picture.Bounds(), palette)
	draw.Draw(small, small.Bounds(), picture, picture.Bounds().Min, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
		b.t.Fatalf("write %s: %v", file, err)
	}
	if out.Len() > maxPicture {
		b.t.Errorf("%s has %d bytes, more than %d", file, out.Len(), maxPicture)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// fewColours are the colours that most of a picture has, at most 256. Each is taken at five bits a channel, so that the
// shades of smooth letters do not crowd out the others, and stands as the shade that is there most often.
func fewColours(picture image.Image) color.Palette {
	type shade struct {
		of   color.RGBA
		many int
	}
	exact := map[color.RGBA]int{}
	box := picture.Bounds()
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			exact[color.RGBAModel.Convert(picture.At(x, y)).(color.RGBA)]++
		}
	}
	best, total := map[color.RGBA]shade{}, map[color.RGBA]int{}
	for c, n := range exact {
		key := color.RGBA{c.R >> 3, c.G >> 3, c.B >> 3, 0}
		total[key] += n
		if had := best[key]; n > had.many || n == had.many && before(c, had.of) {
			best[key] = shade{c, n}
		}
	}
	var all []shade
	for key, s := range best {
		all = append(all, shade{s.of, total[key]})
	}
	slices.SortFunc(all, func(a, b shade) int {
		if a.many != b.many {
			return b.many - a.many
		}
		if before(a.of, b.of) {
			return -1
		}
		return 1
	})
	var out color.Palette
	for _, s := range all[:min(len(all), 256)] {
		out = append(out, s.of)
	}
	return out
}

func before(a, b color.RGBA) bool {
	return uint32(a.R)<<16|uint32(a.G)<<8|uint32(a.B) < uint32(b.R)<<16|uint32(b.G)<<8|uint32(b.B)
}
