#!/usr/bin/env bash
# Makes promtool available for the tests of the alert rules: uses the one on PATH, else installs the distribution's prometheus package. Says what it did in one line.
# Where there is no package the tests of the rules are skipped, and say so; that is no failure.
set -euo pipefail
version() { promtool --version 2>&1 | sed -nE 's/^promtool, version ([0-9.]+).*/\1/p'; }
if command -v promtool >/dev/null; then
  echo "promtool: using $(command -v promtool) ($(version))"
  exit 0
fi
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
log=$(mktemp)
install() {
  if command -v apt-get >/dev/null; then as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends prometheus
  elif command -v apk >/dev/null; then as_root apk add --quiet prometheus
  elif command -v dnf >/dev/null; then as_root dnf install -y -q golang-github-prometheus
  elif command -v brew >/dev/null; then brew install --quiet prometheus
  else return 1; fi
}
# Only promtool is used; a server that the package would start is not ours to start.
if install >"$log" 2>&1 && command -v promtool >/dev/null; then
  echo "promtool: installed $(version)"
else
  tail -n 5 "$log" >&2
  echo "promtool: MISSING and could not be installed; THE ALERT RULES WILL NOT BE TESTED (test/operator/alerts.test.ts is skipped)" >&2
fi
