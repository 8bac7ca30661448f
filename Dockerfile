# Holdfast: one image for sidecar, injector, controller and tools. No shell is needed in it.
# BASE must bring Node 24 at /nodejs/bin/node (distroless) or on the PATH; the build stage needs npm.
ARG BUILD_IMAGE=node:24-bookworm-slim
ARG BASE_IMAGE=gcr.io/distroless/nodejs24-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-progress --loglevel=error
COPY tsconfig.json tsconfig.base.json ./
COPY scripts scripts
COPY src src
# One bundle per command: the sidecar does not load what only the control plane needs.
RUN node_modules/.bin/node scripts/build.ts \
 && node_modules/.bin/node scripts/launchers.ts /out \
 && npm sbom --omit dev --sbom-format spdx --sbom-type application > /out/sbom.spdx.json

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="holdfast" \
      org.opencontainers.image.description="Holds contact-centre event streams for the container beside it" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /src/dist /app
COPY --from=build /src/package.json /app/package.json
COPY --from=build /out/sbom.spdx.json /app/sbom.spdx.json
# `kubectl exec POD -c holdfast -- holdfast status` and the preStop hook find it by name.
COPY --from=build --chmod=0755 /out/bin/ /usr/local/bin/
ENV NODE_ENV=production
USER 65532:65532
EXPOSE 9464
ENTRYPOINT ["/usr/local/bin/holdfast"]
