{{- define "holdfast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "holdfast.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "holdfast.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "holdfast.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "holdfast.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
app.kubernetes.io/name: {{ include "holdfast.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/part-of: holdfast
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* dict: root, part */}}
{{- define "holdfast.selector" -}}
app.kubernetes.io/name: {{ include "holdfast.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "holdfast.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "holdfast.account.injector" -}}
{{- default (printf "%s-injector" (include "holdfast.fullname" .)) .Values.serviceAccount.injector.name }}
{{- end }}
{{- define "holdfast.account.controller" -}}
{{- default (printf "%s-controller" (include "holdfast.fullname" .)) .Values.serviceAccount.controller.name }}
{{- end }}

{{- define "holdfast.redis.url" -}}
{{- if .Values.redis.evaluation.enabled -}}
redis://{{ include "holdfast.fullname" . }}-redis.{{ .Release.Namespace }}.svc:6379/0
{{- else -}}
{{- /* The value itself must not be printed. */}}
{{- if regexMatch "://[^/@]*:[^/@]*@" .Values.redis.url }}{{ fail "redis.url contains a password: remove it and name a Secret with redis.existingSecret" }}{{ end -}}
{{- required "redis.url is missing: name the Redis that sidecars and controller share (redis://HOST:PORT/DB), or set redis.evaluation.enabled=true for a first look" .Values.redis.url -}}
{{- end }}
{{- end }}

{{- /* The fields of AttachSettings. */}}
{{- define "holdfast.settings" -}}
image: {{ include "holdfast.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
version: {{ .Chart.AppVersion | quote }}
storeUrl: {{ include "holdfast.redis.url" . | quote }}
storePrefix: {{ .Values.redis.keyPrefix | quote }}
storeSecret: {{ .Values.redis.existingSecret | quote }}
adminPort: {{ int .Values.sidecar.ports.admin }}
deliveryPort: {{ int .Values.sidecar.ports.delivery }}
drainSeconds: {{ int .Values.sidecar.drainSeconds }}
logLevel: {{ .Values.sidecar.logLevel | quote }}
allowPrivate: {{ join "," .Values.network.allowPrivate | quote }}
allowedHosts: {{ join "," .Values.network.allowedHosts | quote }}
caConfigMap: {{ .Values.sidecar.caConfigMap | quote }}
resources:
  {{- toYaml .Values.sidecar.resources | nindent 2 }}
{{- end }}

{{- /* On cluster-scoped objects, which only administrators make: where the settings are that can be trusted. */}}
{{- define "holdfast.settingsRef" -}}
holdfast.dev/settings: {{ printf "%s/%s-injector" .Release.Namespace (include "holdfast.fullname" .) | quote }}
{{- end }}

{{- /* A value as a CEL literal: every entry dyn(), because CEL wants maps and lists of one type. */}}
{{- define "holdfast.cel" -}}
{{- if kindIs "map" . -}}
{
{{- $first := true -}}
{{- range $name, $value := . -}}
{{- if not $first }}, {{ end }}{{- $first = false -}}
{{ $name | quote }}: dyn({{ include "holdfast.cel" $value }})
{{- end -}}
}
{{- else if kindIs "slice" . -}}
[
{{- range $index, $value := . -}}
{{- if $index }}, {{ end -}}
dyn({{ include "holdfast.cel" $value }})
{{- end -}}
]
{{- else if kindIs "string" . -}}
{{ . | quote }}
{{- else if kindIs "float64" . -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end }}

{{- define "holdfast.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- define "holdfast.containerSecurity" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
{{- end }}

{{- /* dict: root, part, values: what the two Deployments have in common */}}
{{- define "holdfast.podCommon" -}}
automountServiceAccountToken: true
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "holdfast.podSecurity" . | nindent 2 }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "holdfast.selector" . | nindent 8 }}
{{- end }}
