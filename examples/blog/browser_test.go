package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	// screenshots are kept in this folder of the module.
	screenshots = ".build/screenshots"
	// browserTime is how long one test may wait for a browser, on a machine that is busy.
	browserTime = 90 * time.Second
)

// browser is a running Chromium.
type browser struct{ ctx context.Context }

// startBrowser starts the Chromium of TASKGEN_TEST_CHROMIUM, or the one that is installed. Without one, the test fails
// where CI is true, and is skipped elsewhere.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	program := findBrowser()
	if program == "" {
		const advice = "NO BROWSER, so the blog was not tested in one: scripts/chromium.sh installs Chromium"
		if os.Getenv("CI") == "true" {
			t.Fatal(advice)
		}
		fmt.Fprintln(os.Stderr, advice)
		t.Skip(advice)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.Flag("disable-dev-shm-usage", true))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which root can't have
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	started := make(chan error, 1)
	go func() { started <- chromedp.Do(ctx) }() // a deadline on ctx would end the browser
	select {
	case err := <-started:
		if err != nil {
			t.Fatalf("%s: %v", program, err)
		}
	case <-time.After(browserTime):
		t.Fatalf("%s does not start", program)
	}
	return &browser{ctx}
}

func findBrowser() string {
	for _, name := range []string{os.Getenv("TASKGEN_TEST_CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	return ""
}

// page is one page in one visitor's browser: no other page has its cookies.
type page struct {
	t   *testing.T
	ctx context.Context

	mu        sync.Mutex
	problems  []string // what the console tells developers
	tolerated []string // what it may tell
}

// look is how a page is looked at.
type look struct {
	width, height int64
	dark, still   bool // the visitor's preferences: a dark scheme, no motion
	noScript      bool
}

var (
	desktop = look{width: 1280, height: 900, still: true}
	phone   = look{width: 390, height: 844, still: true}
	narrow  = look{width: 320, height: 640, still: true}
)

// open opens a page. Errors that its console shows fail the test.
func (b *browser) open(t *testing.T, l look, url string) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, browserTime)
	t.Cleanup(cancel)
	p := &page{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatal(err)
	}
	p.resize(l)
	command(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: l.noScript})
	p.visit(url)
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, problem := range p.problems {
			t.Errorf("the console of %s: %s", url, problem)
		}
	})
	return p
}

func (p *page) listen(event any) {
	problem := ""
	switch e := event.(type) {
	case *log.EventEntryAdded: // a breach of the policy among them
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			problem = e.Entry.Text
		}
	case *runtime.EventExceptionThrown:
		problem = e.ExceptionDetails.Text + ": " + e.ExceptionDetails.Exception.Description
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ok := func(part string) bool { return strings.Contains(problem, part) }
	if problem != "" && !slices.ContainsFunc(p.tolerated, ok) {
		p.problems = append(p.problems, problem)
	}
}

// tolerate lets the console say something.
func (p *page) tolerate(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tolerated = append(p.tolerated, part)
}

// visit goes to another page.
func (p *page) visit(url string) {
	p.t.Helper()
	p.do(chromedp.Navigate(url))
}

// reload loads the page again.
func (p *page) reload() {
	p.t.Helper()
	p.do(chromedp.Reload())
}

// follow clicks a link and waits for the page behind it.
func (p *page) follow(selector string) {
	p.t.Helper()
	_, err := chromedp.RunResponse(p.ctx, chromedp.Click(selector))
	p.check(err)
}

// resize changes how the page is looked at.
func (p *page) resize(l look) {
	p.t.Helper()
	scheme, motion := "light", "no-preference"
	if l.dark {
		scheme = "dark"
	}
	if l.still {
		motion = "reduce"
	}
	p.do(chromedp.EmulateViewport(l.width, l.height))
	command(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
	}})
}

// do carries out actions. If one fails, a screenshot shows where.
func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	p.check(chromedp.Do(p.ctx, actions...))
}

// get carries out an action that has a value.
func get[T any](p *page, action chromedp.Action[T]) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, action)
	p.check(err)
	return value
}

// command sends a command of the protocol.
func command[P, R any](p *page, name cdp.Command[P, R], params P) R {
	p.t.Helper()
	result, err := chromedp.Call(p.ctx, name, params)
	p.check(err)
	return result
}

// check ends the test after an error, and keeps a picture of where that was.
func (p *page) check(err error) {
	p.t.Helper()
	if err == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), 10*time.Second)
	defer cancel()
	if picture, e := chromedp.Run(ctx, chromedp.CaptureScreenshot()); e == nil {
		p.keep("failed-"+strings.ReplaceAll(p.t.Name(), "/", "-"), picture)
	}
	p.t.Fatal(err)
}

// post fills the form in and sends it.
func (p *page) post(name, email, comment string) {
	p.t.Helper()
	p.do(
		chromedp.SendKeys("#comment", comment), chromedp.SendKeys("#name", name),
		chromedp.SendKeys("#email", email), chromedp.Click("form button"),
	)
}

// await waits until something is on the page.
func (p *page) await(selector string) {
	p.t.Helper()
	p.do(chromedp.WaitVisible(selector))
}

// count is how often something is on the page.
func (p *page) count(selector string) int {
	p.t.Helper()
	return ask[int](p, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}

// text is that of an element.
func (p *page) text(selector string) string {
	p.t.Helper()
	return get(p, chromedp.Text(selector))
}

// ask evaluates an expression in the page.
func ask[T any](p *page, expression string) T {
	p.t.Helper()
	return get(p, chromedp.Evaluate[T](expression))
}

// screenshot keeps a picture of the whole page.
func (p *page) screenshot(name string) {
	p.t.Helper()
	picture := get(p, chromedp.FullScreenshot(100))
	if _, err := png.Decode(bytes.NewReader(picture)); err != nil {
		p.t.Errorf("screenshot %s: %v", name, err)
	}
	p.keep(name, picture)
}

func (p *page) keep(name string, picture []byte) {
	p.t.Helper()
	folder, err := screenshotFolder()
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "blog-"+name+".png"), picture, 0o600)
	}
	if err != nil {
		p.t.Error(err)
	}
}

var screenshotFolder = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(strings.TrimSpace(string(root)), screenshots)
	return folder, os.MkdirAll(folder, 0o700)
})

// checkWidth wants no horizontal scrolling, and nothing that a thumb would miss.
func (p *page) checkWidth() {
	p.t.Helper()
	type widths struct {
		Scroll, Window int
		Small          []string
	}
	got := ask[widths](p, `({
		Scroll: document.documentElement.scrollWidth, Window: document.documentElement.clientWidth,
		Small: [...document.querySelectorAll("button, input, textarea")]
			.filter((e) => e.getBoundingClientRect().height < 44).map((e) => e.outerHTML),
	})`)
	if got.Scroll > got.Window {
		p.t.Errorf("the page is %d wide in a window of %d", got.Scroll, got.Window)
	}
	if len(got.Small) > 0 {
		p.t.Errorf("too small: %v", got.Small)
	}
}

// contrasts finds text whose colour is too near to what is behind it: below 4.5:1, or 3:1 if it is large (WCAG AA).
const contrasts = `(() => {
	const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
	const rgba = (color) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = color;
		canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const luminance = (c) => {
		const [r, g, b] = c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const c = rgba(getComputedStyle(e).backgroundColor);
			if (c[3] === 255) return c;
		}
		return [255, 255, 255, 255];
	};
	const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	let checked = 0;
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement, style = getComputedStyle(e);
		if (!texts.currentNode.data.trim() || !e.checkVisibility() || e.closest("svg, .skip, script")) continue;
		const a = luminance(rgba(style.color)), b = luminance(behind(e));
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), size = parseFloat(style.fontSize);
		const large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
		checked++;
		if (ratio < (large ? 3 : 4.5)) found.push(ratio.toFixed(2) + ": " + texts.currentNode.data.trim());
	}
	return { Checked: checked, Found: found };
})()`

func (p *page) checkContrasts() {
	p.t.Helper()
	type texts struct {
		Checked int
		Found   []string
	}
	got := ask[texts](p, contrasts)
	if len(got.Found) > 0 || got.Checked < 5 {
		p.t.Errorf("of %d texts these are hard to read: %q", got.Checked, got.Found)
	}
}

// checkTree looks at the page as a screen reader does.
func (p *page) checkTree() {
	p.t.Helper()
	tree := command(p, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	roles := map[string]int{}
	for _, node := range tree.Nodes {
		if node.Ignored {
			continue
		}
		role, name := axText(node.Role), axText(node.Name)
		roles[role]++
		switch role {
		case "textbox", "button", "link", "heading", "form":
			if strings.TrimSpace(name) == "" {
				p.t.Errorf("a %s has no name", role)
			}
		case "image":
			p.t.Errorf("a decoration is read out as an image named %q", name)
		}
	}
	if n := p.count("h1"); n != 1 {
		p.t.Errorf("%d headings of the first level, want 1", n)
	}
	for _, role := range []string{"main", "banner", "contentinfo", "heading"} {
		if roles[role] == 0 {
			p.t.Errorf("there is no %s in %v", role, roles)
		}
	}
	if n := p.count("html:not([lang]), img:not([alt]), [id=''], label:not([for])"); n != 0 {
		p.t.Errorf("%d elements lack what a screen reader wants", n)
	}
	levels := ask[[]int](p, `[...document.querySelectorAll("h1, h2, h3")].map((h) => +h.tagName[1])`)
	for i := 1; i < len(levels); i++ {
		if levels[i] > levels[i-1]+1 {
			p.t.Errorf("the headings skip a level: %v", levels)
		}
	}
}

// axText is the text of an accessibility value.
func axText(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `"`)
}

// checkKeyboard walks through the form by the Tab key alone, and wants to see where it is.
func (p *page) checkKeyboard() {
	p.t.Helper()
	p.do(chromedp.Focus("#comment"))
	for _, want := range []string{"comment", "name", "email", "homepage", "BUTTON"} {
		type focus struct{ ID, Tag, Outline string }
		got := ask[focus](p, `(() => { const e = document.activeElement; return { ID: e.id, Tag: e.tagName, Outline: getComputedStyle(e).outlineStyle } })()`)
		if cmp.Or(got.ID, got.Tag) != want || got.Outline == "none" {
			p.t.Errorf("the focus is on %+v, want %s with an outline", got, want)
		}
		p.do(chromedp.KeyEvent("\t"))
	}
}
