#!/usr/bin/env bash
# Formatting, vet and lint, of the benchmarks' module too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	echo "gofmt would change:" >&2
	echo "$unformatted" >&2
	exit 1
fi
go vet ./...
(cd bench && go vet ./... && go tool taskgen -check ./...)

# The linter is a Go program: built once from its module, then kept.
version=v2.15.0
lint=$PWD/.build/bin/golangci-lint-$version
if [ ! -x "$lint" ]; then
	echo "building golangci-lint $version" >&2
	mkdir -p "$(dirname "$lint")"
	GOBIN=$(dirname "$lint") go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version
	mv "$(dirname "$lint")/golangci-lint" "$lint"
fi
"$lint" run ./...
(cd bench && "$lint" run ./...)
