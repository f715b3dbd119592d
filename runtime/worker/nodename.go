package worker

import (
	"os"
	"strings"
	"unicode"
)

// nodeName expands the -hostname of a worker as Celery does: %h is the machine's name, %n
// the part before the first dot and %d the part after it, %% a percent sign. What has
// no @ is the part after it.
func nodeName(format, host string) (string, error) {
	short, domain, _ := strings.Cut(host, ".")
	var out strings.Builder
	for rest := format; rest != ""; {
		text, after, found := strings.Cut(rest, "%")
		out.WriteString(text)
		if !found {
			break
		}
		if after == "" {
			return "", misuse("-hostname %q: a %% at the end; %%%% is a percent sign", format)
		}
		switch after[0] {
		case 'h':
			out.WriteString(host)
		case 'n':
			out.WriteString(short)
		case 'd':
			out.WriteString(domain)
		case '%':
			out.WriteByte('%')
		default:
			return "", misuse("-hostname %q: there is no %%%c; there are %%h (host), %%n (its name), %%d (its domain) and %%%%", format, after[0])
		}
		rest = after[1:]
	}
	name, at, found := strings.Cut(out.String(), "@")
	if !found {
		name, at = "", name
	}
	if name == "" {
		name = "worker"
	}
	if at == "" {
		at = host
	}
	full := name + "@" + at
	if len(full) > 255 || strings.ContainsFunc(full, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return "", misuse("-hostname %q: want at most 255 visible characters", format)
	}
	return full, nil
}

// hostName is the machine's name.
func hostName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "localhost"
	}
	return host
}
