#!/usr/bin/env bash
# Makes a redis-server available for the tests: uses the one on PATH, else installs the distribution's package. Says what it did in one line.
set -euo pipefail
if command -v redis-server >/dev/null; then
  echo "redis: using $(command -v redis-server) ($(redis-server --version | sed -E 's/.*v=([0-9.]+).*/\1/'))"
  exit 0
fi
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
log=$(mktemp)
install() {
  if command -v apt-get >/dev/null; then as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends redis-server
  elif command -v apk >/dev/null; then as_root apk add --quiet redis
  elif command -v dnf >/dev/null; then as_root dnf install -y -q redis
  elif command -v brew >/dev/null; then brew install --quiet redis
  else return 1; fi
}
# The package may start a server of its own; the tests start theirs on a free port and leave that one alone.
if install >"$log" 2>&1 && command -v redis-server >/dev/null; then
  echo "redis: installed redis-server $(redis-server --version | sed -E 's/.*v=([0-9.]+).*/\1/')"
else
  tail -n 5 "$log" >&2
  echo "redis: redis-server is missing and could not be installed; install it by hand and run again" >&2
  exit 1
fi
