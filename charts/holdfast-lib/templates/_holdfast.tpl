{{- /*
Use in a pod template, with one dict: client (name of the StreamClient), secret (name of the Secret with its credentials), settings (what differs from the
defaults of holdfast.sidecar.defaults: image, storeUrl, storeSecret, ...), documents (optional: the StreamClient and EventStreams as YAML; without it the
controller brings them).

  metadata:
    labels:
      {{- include "holdfast.lib.labels" $hf | nindent 8 }}
    annotations:
      {{- include "holdfast.lib.annotations" $hf | nindent 8 }}
  spec:
    initContainers:
      {{- include "holdfast.lib.initContainers" $hf | nindent 8 }}
    containers:
      - name: app
        env:
          {{- include "holdfast.lib.env" $hf | nindent 12 }}
    volumes:
      {{- include "holdfast.lib.volumes" $hf | nindent 8 }}
*/}}
{{- define "holdfast.lib.settings" -}}
{{- $given := default (dict) .settings -}}
{{- $known := include "holdfast.sidecar.defaults" . | fromYaml -}}
{{- range $name, $value := $given }}{{- if not (hasKey $known $name) }}{{- fail (printf "holdfast: settings.%s is no setting; known are: %s" $name (keys $known | sortAlpha | join ", ")) }}{{- end }}{{- end -}}
{{- merge (dict "client" (required "holdfast: client is missing: name the StreamClient" .client) "secret" (default .client .secret)) $given $known | toYaml -}}
{{- end }}
{{- define "holdfast.lib.labels" -}}
holdfast.dev/client: {{ required "holdfast: client is missing: name the StreamClient" .client | quote }}
{{ include "holdfast.sidecar.labels" (include "holdfast.lib.settings" . | fromYaml) }}
{{- end }}
{{- define "holdfast.lib.annotations" -}}
{{- with .documents }}
holdfast.dev/config: {{ . | quote }}
{{- end }}
{{- end }}
{{- define "holdfast.lib.initContainers" -}}
- {{ include "holdfast.sidecar.container" (include "holdfast.lib.settings" . | fromYaml) | nindent 2 | trim }}
{{- end }}
{{- define "holdfast.lib.env" -}}
{{- include "holdfast.sidecar.env" (include "holdfast.lib.settings" . | fromYaml) }}
{{- end }}
{{- define "holdfast.lib.volumes" -}}
{{- include "holdfast.sidecar.volumes" (include "holdfast.lib.settings" . | fromYaml) }}
{{- end }}
