#!/usr/bin/env bash
# Builds the Dockerfile for real, with stand-ins for its two base images (no registry is asked): the build stage on a Debian with npm, the result on a
# root that holds nothing but Node and what it links to. Needs root and buildah (and debootstrap for the first run). Prints size, start time and memory.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v buildah >/dev/null || { echo "image: SKIPPED, no buildah here"; exit "${HOLDFAST_REQUIRE_BUILDAH:-0}"; }
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
work=$(mktemp -d)
trap 'rm -rf "$work"; buildah rm -a >/dev/null 2>&1 || true' EXIT
node=$(readlink -f node_modules/.bin/node 2>/dev/null || command -v node)
npm=$(readlink -f "$(command -v npm)")

# What ldd names, at the places where it is found.
closure() { ldd "$1" | grep -oE '/[^ ]+' | sort -u; }

base=$work/base
mkdir -p "$base/nodejs/bin" "$base/tmp" "$base/etc" "$base/etc/ssl/certs"
cp "$node" "$base/nodejs/bin/node"
for file in $(closure "$node"); do mkdir -p "$base$(dirname "$file")"; cp -L "$file" "$base$file"; done
cp -L /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/" 2>/dev/null || true
echo 'nonroot:x:65532:65532::/nonexistent:/none' > "$base/etc/passwd"

# The build stage has a shell, coreutils and npm: the machine's own, read only where possible.
tools=$work/tools
mkdir -p "$tools"/{src,out,tmp,root,etc,usr/bin,usr/local/bin}
chmod 1777 "$tools/tmp"
for name in sh bash env cp mkdir rm ls cat chmod uname; do
  file=$(readlink -f "$(command -v $name)")
  cp "$file" "$tools/usr/bin/$name"
  for library in $(closure "$file"); do mkdir -p "$tools$(dirname "$library")"; cp -Ln "$library" "$tools$library"; done
done
mkdir -p "$tools/bin" && cp "$tools/usr/bin/sh" "$tools/usr/bin/bash" "$tools/usr/bin/env" "$tools/bin/"
cp "$node" "$tools/usr/local/bin/node"
for library in $(closure "$node"); do mkdir -p "$tools$(dirname "$library")"; cp -Ln "$library" "$tools$library"; done
mkdir -p "$tools/usr/local/lib/npm" && cp -r "$(dirname "$(dirname "$npm")")/." "$tools/usr/local/lib/npm/"
printf '#!/bin/sh\nexec /usr/local/bin/node /usr/local/lib/npm/bin/npm-cli.js "$@"\n' > "$tools/usr/local/bin/npm"
chmod 0755 "$tools/usr/local/bin/npm"
mkdir -p "$tools/etc/ssl/certs" && cp -L /etc/ssl/certs/ca-certificates.crt "$tools/etc/ssl/certs/" 2>/dev/null || true
cp /etc/resolv.conf /etc/hosts "$tools/etc/" 2>/dev/null || true
# npm's settings of this machine (proxy, registry), for the build only.
[ -f "$HOME/.npmrc" ] && cp "$HOME/.npmrc" "$tools/.npmrc"
echo "registry=$(npm config get registry --location=user)" >> "$tools/.npmrc"

standin() {
  local id
  id=$(buildah from scratch)
  buildah add -q "$id" "$2" / >/dev/null
  buildah config --env PATH=/usr/local/bin:/usr/bin:/bin:/nodejs/bin --env HOME=/ --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt "$id"
  [ -n "${3:-}" ] && buildah config --user "$3" "$id"
  buildah commit -q "$id" "$1" >/dev/null
  buildah rm "$id" >/dev/null
}
standin localhost/holdfast-build-standin "$tools"
standin localhost/holdfast-base-standin "$base" 65532
arguments=()
for name in http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY NODE_EXTRA_CA_CERTS npm_config_registry NPM_CONFIG_REGISTRY; do
  [ -n "${!name:-}" ] && arguments+=(--env "$name=${!name}")
done
buildah build --pull-never --network host -q --build-arg BUILD_IMAGE=localhost/holdfast-build-standin --build-arg BASE_IMAGE=localhost/holdfast-base-standin "${arguments[@]}" -t localhost/holdfast:try . > "$work/id"
echo "image: built"

id=$(buildah from --pull-never localhost/holdfast:try)
root=$(buildah mount "$id")
echo "image: program $(du -sk "$root/app" | cut -f1) KiB, whole root $(du -sm "$root" | cut -f1) MiB, of which Node $(du -sm "$root/nodejs" | cut -f1) MiB"
grep -q '"spdxVersion"' "$root/app/sbom.spdx.json" && echo "image: SBOM names $(grep -c '"SPDXID": "SPDXRef-Package' "$root/app/sbom.spdx.json") packages"
[ ! -e "$root/bin/sh" ] || { echo "image: there is a shell in it"; exit 1; }
inside() { chroot --userspec=65532:65532 "$root" "$@"; }
for command in "holdfast --help" "holdfast run --help" "holdfast controller --help" "holdfast injector --help" "kubectl-holdfast"; do
  # shellcheck disable=SC2086
  inside /usr/local/bin/$command > "$work/out" || { echo "image: $command failed"; cat "$work/out"; exit 1; }
done
echo "image: holdfast, holdfast run, controller, injector and kubectl-holdfast start without a shell as uid 65532"
