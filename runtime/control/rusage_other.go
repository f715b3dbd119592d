//go:build !unix

package control

// resourceUsage is not known here; Celery says so too.
func resourceUsage() any { return "N/A" }
