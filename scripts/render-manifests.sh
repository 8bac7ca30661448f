#!/usr/bin/env bash
# Writes manifests/install.yaml from the chart (needs helm on the PATH as helm4 or helm). With --check: compares.
set -euo pipefail
cd "$(dirname "$0")/.."
helm=$(command -v helm4 || command -v helm) || { echo "manifests: helm is missing"; exit 1; }
render() {
  echo "# The chart with default values; the Redis is to be at redis://holdfast-redis.holdfast-system.svc:6379/0. Written by scripts/render-manifests.sh."
  echo "apiVersion: v1
kind: Namespace
metadata:
  name: holdfast-system"
  "$helm" template holdfast charts/holdfast -n holdfast-system --kube-version 1.33.0 --skip-tests --set redis.url=redis://holdfast-redis.holdfast-system.svc:6379/0 | grep -v '^# Source: '
}
policy() {
  echo "# Attaching by policy instead of the webhook: Kubernetes 1.36 or newer. Written by scripts/render-manifests.sh."
  "$helm" template holdfast charts/holdfast -n holdfast-system --kube-version 1.36.0 -a admissionregistration.k8s.io/v1/MutatingAdmissionPolicy --set attach.mode=policy -s templates/policy/attach.yaml -s templates/policy/backstop.yaml --set redis.url=redis://holdfast-redis.holdfast-system.svc:6379/0 | grep -v '^# Source: '
}
if [ "${1:-}" = --check ]; then
  render | diff -q - manifests/install.yaml >/dev/null || { echo "manifests/install.yaml is not what the chart renders; run scripts/render-manifests.sh"; exit 1; }
  policy | diff -q - manifests/policy/attach.yaml >/dev/null || { echo "manifests/policy/attach.yaml is not what the chart renders; run scripts/render-manifests.sh"; exit 1; }
  echo "manifests: install.yaml is what the chart renders"
else
  render > manifests/install.yaml
  policy > manifests/policy/attach.yaml
  echo "manifests: install.yaml written"
fi
