# Everything a newcomer needs: `make demo` and `make test`. Both install what they need themselves and say so in one line.
SHELL := /bin/bash
.DEFAULT_GOAL := help
DEMO_FOR ?= 60s
STAMP := node_modules/.holdfast-installed

.PHONY: help demo test test-kubernetes image charts check lint types layers build bench install redis spin promtool clean

help:
	@echo "make demo    simulator, redis-server, three replicas and a consumer, with faults, live (DEMO_FOR=30s to shorten)"
	@echo "make test    all tests, with a real redis-server, promtool and the model checker spin"
	@echo "make test-kubernetes   the Kubernetes side on a real API server (built once with Go, or KUBEBUILDER_ASSETS)"
	@echo "make image   the container image, with buildah and stand-ins for its bases"
	@echo "make check   types, lint, layers, generated papers"
	@echo "make build   dist/, one bundle per command"
	@echo "make bench   the figures of docs/performance.md"

install: $(STAMP)

$(STAMP): package.json package-lock.json
	@command -v npm >/dev/null || { echo "install: npm is missing; install Node.js 20 or newer (it only fetches the rest)"; exit 1; }
	@npm ci --no-progress --loglevel=error >/dev/null
	@touch $(STAMP)
	@echo "install: npm packages, Node $$(node_modules/.bin/node --version) among them"

redis:
	@bash scripts/ensure-redis.sh

spin:
	@bash scripts/ensure-spin.sh

promtool:
	@bash scripts/ensure-promtool.sh

demo: $(STAMP) redis
	@PATH="$(CURDIR)/node_modules/.bin:$$PATH" node src/cli/main.ts demo --for $(DEMO_FOR)

test: $(STAMP) redis spin promtool
	@PATH="$(CURDIR)/node_modules/.bin:$$PATH" npm test --silent

test-kubernetes: $(STAMP) redis
	@PATH="$(CURDIR)/node_modules/.bin:$$PATH" npm run --silent test:kubernetes

image: $(STAMP)
	@bash test/image/build.sh

check types lint layers build bench: $(STAMP)
	@npm run --silent $@

clean:
	rm -rf dist .cache node_modules .holdfast
