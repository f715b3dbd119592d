package broker

import (
	"regexp"
	"strings"
)

const (
	// hidden stands for what is not shown.
	hidden   = "***"
	hostForm = `(\[[0-9a-fA-F:.%]*\]|[\w.-]*)(:\d{1,5})?`
)

var (
	schemeForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,15}$`)
	// hostsForm is a list of hosts with ports, and a virtual host. What does not look so may be a
	// password whose @ was forgotten.
	hostsForm = regexp.MustCompile(`^` + hostForm + `(,` + hostForm + `)*(/[\w.%-]*)?$`)
)

// Redact returns a broker URL without its password and options, for logs. Of a
// URL that is not well-formed it returns only what surely is no password.
func Redact(url string) string {
	for _, local := range []string{"sqlite:", "memory:"} {
		if strings.HasPrefix(url, local) {
			return url
		}
	}
	scheme, rest, found := strings.Cut(url, "://")
	if !found || !schemeForm.MatchString(scheme) {
		return hidden
	}
	// A raw @ / ? or # in a password is a mistake that people make: all up to the last @ may be one.
	user := ""
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		name, _, hasPassword := strings.Cut(rest[:at], ":")
		user, rest = name, rest[at+1:]
		if hasPassword {
			user += ":" + hidden
		}
		user += "@"
	}
	rest, _, _ = strings.Cut(rest, "?")
	if !hostsForm.MatchString(rest) {
		rest = hidden
	}
	return scheme + "://" + user + rest
}
