package builtin

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// hostPattern is an entry of a list of allowed hosts.
type hostPattern struct {
	// name is a host, or what the names of hosts end in, with its dot.
	name       string
	subdomains bool
	// port is that of the scheme if it is empty.
	port string
}

// parseHost reads "example.com", "*.example.com", "10.0.0.1:8080" or "[::1]:8080".
func parseHost(text string) (hostPattern, error) {
	bad := func(why string) (hostPattern, error) {
		return hostPattern{}, fmt.Errorf("host %q: %s; want a host such as example.com, example.com:8080 or [::1]:8080, or *.example.com for all below it", text, why)
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Is6() {
		text = "[" + text + "]"
	}
	u, err := url.Parse("//" + text)
	if err != nil || text != u.Host || strings.HasSuffix(text, ":") || strings.Contains(u.Hostname(), ":") && text[0] != '[' {
		return bad("this is no host")
	}
	p := hostPattern{name: hostName(u), port: u.Port()}
	if p.port != "" {
		if n, err := strconv.Atoi(p.port); err != nil || n < 1 || n > 65535 {
			return bad("its port is not between 1 and 65535")
		}
	}
	if rest, found := strings.CutPrefix(p.name, "*."); found {
		p.name, p.subdomains = "."+rest, true
	}
	switch {
	case strings.Trim(p.name, ".") == "":
		return bad("it is empty")
	case strings.Contains(p.name, "*"):
		return bad("a * can only stand in front, for what is below a domain")
	case !isASCII(p.name):
		return bad("write it in its ASCII form, xn--…")
	}
	return p, nil
}

// allows says whether u leads to the host.
func (p hostPattern) allows(u *url.URL) bool {
	name := hostName(u)
	if p.subdomains {
		if !strings.HasSuffix(name, p.name) || len(name) == len(p.name) {
			return false
		}
	} else if name != p.name {
		return false
	}
	return portOf(u) == portOf(&url.URL{Scheme: u.Scheme, Host: ":" + p.port})
}

// hostName is the host without port, as it is compared: an address in its usual form, a name in lower case
// without the dot of the root at its end.
func hostName(u *url.URL) string {
	name := u.Hostname()
	if a, err := netip.ParseAddr(name); err == nil {
		return a.String()
	}
	return strings.TrimSuffix(strings.ToLower(name), ".")
}

// portOf is the port that u leads to.
func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return strings.TrimLeft(port, "0")
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}
