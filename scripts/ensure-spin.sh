#!/usr/bin/env bash
# Makes the model checker available for the tests: spin, and a C compiler for the checkers that spin writes. Uses those on PATH, else installs the
# distribution's packages. Says what it did in one line.
set -euo pipefail
compiles() { echo 'int main(void) { return 0; }' | gcc -x c -o /dev/null - >/dev/null 2>&1; }
versions() { echo "$(spin -V 2>&1 | sed -E 's/^Spin Version ([0-9.]+).*/spin \1/'), gcc $(gcc -dumpversion)"; }
if command -v spin >/dev/null && compiles; then
  echo "spin: using $(versions)"
  exit 0
fi
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
log=$(mktemp)
install() {
  if command -v apt-get >/dev/null; then as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends spin gcc libc6-dev
  elif command -v apk >/dev/null; then as_root apk add --quiet spin gcc musl-dev
  elif command -v dnf >/dev/null; then as_root dnf install -y -q spin gcc glibc-devel
  elif command -v brew >/dev/null; then brew install --quiet spin
  else return 1; fi
}
if install >"$log" 2>&1 && command -v spin >/dev/null && compiles; then
  echo "spin: installed $(versions)"
else
  tail -n 5 "$log" >&2
  echo "spin: spin or a C compiler (gcc) is missing and could not be installed; install both by hand and run again" >&2
  exit 1
fi
