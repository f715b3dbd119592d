package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"sync"
)

//go:embed static
var static embed.FS

// assetPath is where the static files are. Their names follow after their version.
const assetPath = "/static/{version}/"

// assetVersion is a hash of all static files. It is in their URLs, so that browsers may keep them for ever.
var assetVersion = sync.OnceValue(func() string {
	hash := sha256.New()
	files, err := fs.Glob(static, "static/*")
	for _, file := range files {
		var content []byte
		if content, err = static.ReadFile(file); err == nil {
			_, err = hash.Write(content)
		}
	}
	if err != nil {
		return "unknown" // can't be: they are part of the program
	}
	return hex.EncodeToString(hash.Sum(nil))[:12]
})

func assetURL(name string) string { return "/static/" + assetVersion() + "/" + name }

func serveAsset(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("version") == assetVersion() {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeFileFS(w, r, static, "static/"+r.PathValue("name"))
}
