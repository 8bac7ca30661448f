#!/usr/bin/env bash
# Builds the real Kubernetes parts that the tests use, once, into a cache; prints the folder. Needs Go.
set -euo pipefail
cd "$(dirname "$0")"
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
helm3=v3.22.0
helm4=v4.3.1
out="${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/kubernetes-$version"
mkdir -p "$out"

minor=${version#v1.}
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
done

say() { echo "kubernetes: $*" >&2; }
for tool in etcd=go.etcd.io/etcd/server/v3 kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver kube-controller-manager=k8s.io/kubernetes/cmd/kube-controller-manager kubectl=k8s.io/kubernetes/cmd/kubectl; do
  name=${tool%%=*}
  [ -x "$out/$name" ] && continue
  say "building $name $version (once; some minutes)"
  CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$out/$name.part" "${tool#*=}"
  mv "$out/$name.part" "$out/$name"
done
for helm in "helm3=helm.sh/helm/v3/cmd/helm@$helm3" "helm4=helm.sh/helm/v4/cmd/helm@$helm4"; do
  name=${helm%%=*}
  [ -x "$out/$name" ] && continue
  say "building $name (once)"
  (cd / && GOBIN="$out/$name.bin" CGO_ENABLED=0 go install -ldflags '-s -w' "${helm#*=}")
  mv "$out/$name.bin/helm" "$out/$name"
  rmdir "$out/$name.bin"
done
echo "$out"
