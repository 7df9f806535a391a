{{- define "axia.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains "axia" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-axia" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* The part of an object's name that stands for a model. */ -}}
{{- define "axia.modelKey" -}}
{{- regexReplaceAll "[^a-z0-9]+" (lower .) "-" | trimAll "-" | trunc 20 | trimAll "-" | printf "inference-%s" -}}
{{- end -}}

{{- define "axia.selector" -}}
app.kubernetes.io/name: axia
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .key }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "axia.labels" -}}
{{ include "axia.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "axia.image" -}}
{{ .root.Values.image.repository }}-{{ .image }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- with get .root.Values.image.digests .image }}@{{ . }}{{ end }}
{{- end -}}

{{- /* What servers read of OpenTelemetry's own variables, for a component; nothing without an endpoint. */ -}}
{{- define "axia.tracing" -}}
{{- $telemetry := .root.Values.telemetry -}}
{{- $env := dict -}}
{{- with $telemetry.otlp.endpoint -}}
{{- $entry := has $.key (list "gateway" "http") -}}
{{- $sampler := ternary "traceidratio" "parentbased_traceidratio" (and $entry (not $telemetry.sampling.followCallers)) -}}
{{- $attributes := list "k8s.pod.name=$(K8S_POD_NAME)" (printf "k8s.namespace.name=%s" $.root.Release.Namespace) -}}
{{- range $name, $value := $telemetry.resourceAttributes -}}
{{- $attributes = append $attributes (printf "%s=%s" $name ($value | urlquery | replace "+" "%20")) -}}
{{- end -}}
{{- $env = dict
  "OTEL_EXPORTER_OTLP_ENDPOINT" .
  "OTEL_TRACES_SAMPLER" $sampler
  "OTEL_TRACES_SAMPLER_ARG" (divf $telemetry.sampling.percent 100 | toString)
  "OTEL_RESOURCE_ATTRIBUTES" ($attributes | join ",") -}}
{{- if $telemetry.otlp.caSecret -}}
{{- $_ := set $env "OTEL_EXPORTER_OTLP_CERTIFICATE" "/etc/axia/collector/ca.crt" -}}
{{- end -}}
{{- end -}}
{{- toYaml $env -}}
{{- end -}}

{{- /* The port of the collector's endpoint; gRPC's own where it names none. */ -}}
{{- define "axia.otlpPort" -}}
{{- regexFind ":[0-9]+/?$" .endpoint | trimPrefix ":" | trimSuffix "/" | default "443" -}}
{{- end -}}

{{- /* A security context that fits the restricted Pod Security Standard. */ -}}
{{- define "axia.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "axia.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
