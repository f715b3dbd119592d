// Package settings is what the blog's processes must agree on.
package settings

import (
	"errors"
	"net"
	"net/url"
	"os"

	"github.com/taskgen/taskgen/examples/blog/akismet"
)

// The environment variables of a worker.
const (
	databaseVariable = "BLOG_DATABASE"
	siteVariable     = "BLOG_SITE"
	urlVariable      = "AKISMET_URL"
	keyVariable      = "AKISMET_KEY"
)

// Settings travel by environment: a command line is for everybody to see, and there is a key among them.
type Settings struct {
	// Database is the path of the blog's database (BLOG_DATABASE).
	Database string
	// Site is the URL of the front page, without a slash at its end (BLOG_SITE).
	Site string
	// AkismetURL is where Akismet is, "" for the real one (AKISMET_URL).
	AkismetURL string
	// AkismetKey is the key for it (AKISMET_KEY).
	AkismetKey string
}

// FromEnvironment reads the settings that a parent process has made.
func FromEnvironment() (Settings, error) {
	s := Settings{
		Database: os.Getenv(databaseVariable), Site: os.Getenv(siteVariable),
		AkismetURL: os.Getenv(urlVariable), AkismetKey: os.Getenv(keyVariable),
	}
	if s.Database == "" || s.Site == "" || s.AkismetKey == "" {
		return s, errors.New("set " + databaseVariable + ", " + siteVariable + " and " + keyVariable +
			"; `go run ./examples/blog` does all that")
	}
	return s, nil
}

// Environment is what FromEnvironment reads.
func (s Settings) Environment() []string {
	return []string{
		databaseVariable + "=" + s.Database, siteVariable + "=" + s.Site,
		urlVariable + "=" + s.AkismetURL, keyVariable + "=" + s.AkismetKey,
	}
}

// Akismet makes the client. A blog on localhost is somebody trying things out, from which Akismet should
// learn nothing.
func (s Settings) Akismet() (*akismet.Client, error) {
	return akismet.New(akismet.Config{
		Key: s.AkismetKey, URL: s.AkismetURL, Site: s.Site, Test: isLocal(s.Site),
	})
}

func isLocal(site string) bool {
	u, err := url.Parse(site)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
