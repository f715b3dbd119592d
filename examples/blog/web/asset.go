package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"sync"
	"time"
)

//go:embed static
var static embed.FS

// assetPath is where the static files are. Their names follow after their version.
const assetPath = "/static/{version}/"

// assets are the static files by name.
type assets struct {
	files map[string][]byte
	// version is a hash of all of them. It is in their URLs, so that browsers may keep them for ever.
	version string
}

var loadAssets = sync.OnceValue(func() assets {
	a := assets{files: map[string][]byte{}}
	hash := sha256.New()
	names, _ := fs.Glob(static, "static/*")
	for _, name := range names {
		content, _ := static.ReadFile(name) // which is part of the program
		a.files[path.Base(name)] = content
		_, _ = hash.Write(content)
	}
	a.version = hex.EncodeToString(hash.Sum(nil))[:12]
	return a
})

func assetURL(name string) string { return "/static/" + loadAssets().version + "/" + name }

func (s *Site) asset(w http.ResponseWriter, r *http.Request) {
	a := loadAssets()
	name := r.PathValue("name")
	content, known := a.files[name]
	if !known {
		s.notFound(w, r)
		return
	}
	if r.PathValue("version") == a.version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}
