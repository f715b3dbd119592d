package worker

import (
	"slices"
	"strconv"
	"strings"

	"github.com/taskgen/taskgen/runtime/broker"
)

// urlArgument is an argument, or the end of one, that is a URL with a password, or may be one that was mistyped.
type urlArgument struct {
	url string
	// index is the argument's, start where in it the secret part of the URL begins.
	index, start int
}

// urlFlags are the flags whose values are URLs with passwords, whatever they look like.
var urlFlags = []string{"broker", "results", "mail"}

// urlArguments finds URLs with passwords in a command line, also where none belongs.
func urlArguments(args []string) []urlArgument {
	var found []urlArgument
	wanted := false // by the flag before
	for i, arg := range args {
		url, flag := arg, ""
		if strings.HasPrefix(arg, "-") && !wanted {
			flag = strings.TrimLeft(arg, "-")
			if name, value, ok := strings.Cut(flag, "="); ok && !looksSecret(name+"@") {
				flag, url, wanted = "", value, slices.Contains(urlFlags, name)
			}
		}
		if (wanted || looksSecret(url)) && broker.Redact(url) != url {
			found = append(found, urlArgument{url, i, len(arg) - len(secretPart(url))})
		}
		wanted = slices.Contains(urlFlags, flag)
	}
	return found
}

// looksSecret says whether a text may be a URL with a password, or what is left of one without its scheme.
func looksSecret(text string) bool {
	before, _, found := strings.Cut(text, "@")
	return strings.Contains(text, "://") || found && strings.Contains(before, ":")
}

// secretPart is what of a URL is not for everybody: what comes after its scheme.
func secretPart(url string) string {
	for _, scheme := range []string{"amqp://", "amqps://", "redis://", "rediss://", "smtp://", "smtps://"} {
		if rest, found := strings.CutPrefix(url, scheme); found {
			return rest
		}
	}
	return url
}

// conceal takes the passwords of a command line out of a text about it.
func conceal(text string, args []string) string {
	for _, a := range urlArguments(args) {
		quoted := strconv.Quote(a.url)
		for _, form := range []string{a.url, quoted[1 : len(quoted)-1]} {
			text = strings.ReplaceAll(text, form, broker.Redact(a.url))
		}
	}
	return text
}
