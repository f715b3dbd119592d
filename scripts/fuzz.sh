#!/usr/bin/env bash
# Fuzzes every target of the project for DURATION each, 60s by default, several at a time:
#
#   scripts/fuzz.sh [DURATION [PATTERN]]
#   scripts/fuzz.sh build
#
# The second only builds them, which takes a while, for a later call with FUZZ_BUILT=true that finds them so.
# PATTERN is a regular expression for the targets' names. FUZZ_AT_ONCE is how many run at a time, each on one
# thread: four per processor by default, so that 30 targets of a minute take some 4 minutes on 2 processors.
#
# Prints a line for each target: how many inputs it ran, and how many of them reached new code. Fails if one
# fails, and says where the input is that shows it: `go test` tries those in testdata/fuzz each time, so
# commit it with the repair. What reaches new code is kept in .build/fuzz/corpus for the next time, the logs
# are in .build/fuzz/log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

duration=${1:-60s}
pattern=${2:-.}
at_once=${FUZZ_AT_ONCE:-$((4 * $(getconf _NPROCESSORS_ONLN)))}
root=$PWD
build=$root/.build/fuzz
mkdir -p "$build/bin" "$build/corpus" "$build/log"

# fuzz runs one target and prints its line.
fuzz() {
	local dir=$1 package=$2 name=$3
	local log=$build/log/$name.log status=0 last failing
	cd "$dir"
	"$build/bin/$package" -test.run='^$' -test.fuzz="^$name\$" -test.fuzztime="$duration" -test.fuzzminimizetime=5s \
		-test.parallel=1 -test.fuzzcachedir="$build/corpus/$package" >"$log" 2>&1 || status=$?
	last=$(sed -n 's/^fuzz: elapsed: [^,]*, //p' "$log" | tail -1)
	failing=$(sed -n 's/.*Failing input written to //p' "$log" | tail -1)
	# Go ends a target that is busy at the end of its time with this error and no input: https://go.dev/issue/75804.
	if ((status != 0)) && [[ -z $failing ]] && grep -q 'context deadline exceeded' "$log" && ! grep -q 'panic:\|_test.go:\|seed corpus' "$log"; then
		status=0
	fi
	if ((status == 0)); then
		printf 'ok    %-20s %s\n' "$name" "$last"
		return
	fi
	printf 'FAIL  %-20s %s\n' "$name" "$last"
	grep -v '^fuzz: elapsed' "$log" | head -40 | cut -c -300 | sed 's/^/      /'
	if [[ -n $failing ]]; then
		echo "      input:     ${dir#"$root/"}/$failing"
		echo "      reproduce: go test -run='$name/$(basename "$failing")' ./${dir#"$root/"}"
	fi
	echo "      log:       ${log#"$root/"}"
	return 1
}
export -f fuzz
export root build duration

# packages prints the directory and the program of each package that has targets.
packages() {
	local dir package
	go list -f '{{range .TestGoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}' ./... |
		xargs grep -l '^func Fuzz' | xargs -n 1 dirname | sort -u | while read -r dir; do
		package=${dir#"$root/"}
		echo "$dir ${package//\//-}"
	done
}

build_all() {
	packages | while read -r dir package; do
		go test -c -fuzz=. -o "$build/bin/$package" "$dir"
	done
}

# targets prints the directory, the program and the name of each target.
targets() {
	packages | while read -r dir package; do
		(cd "$dir" && "$build/bin/$package" -test.list '^Fuzz') | { grep '^Fuzz' || true; } | { grep -E -- "$pattern" || true; } |
			sed "s|^|$dir $package |"
	done
}

start=$SECONDS
if [[ ${FUZZ_BUILT:-} != true ]]; then
	build_all
fi
if [[ $duration == build ]]; then
	exit
fi
list=$(targets)
if [[ -z $list ]]; then
	echo "no target matches $pattern" >&2
	exit 2
fi
echo "fuzzing $(wc -l <<<"$list") targets for $duration each, $at_once at a time; built in $((SECONDS - start)) s"
status=0
xargs -P "$at_once" -n 3 bash -c 'fuzz "$@"' fuzz <<<"$list" || status=1
echo "took $((SECONDS - start)) s; the corpora have $(du -sh "$build/corpus" | cut -f 1)"
exit "$status"
