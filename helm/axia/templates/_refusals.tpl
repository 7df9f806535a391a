{{- /* What the schema can't say: values that don't go together. Each sentence says what to set. */ -}}
{{- define "axia.refuse" -}}
{{- $v := .Values -}}
{{- $egressOn := $v.networkPolicy.enabled -}}
{{- if eq (toString ($v.image.tag | default .Chart.AppVersion)) "latest" -}}
{{- fail "image.tag: \"latest\" can change at any time; set the tag of a release" -}}
{{- end -}}
{{- if not $v.models -}}
{{- fail "models: list at least one model, each with a name and an engine" -}}
{{- end -}}
{{- $models := (include "axia.models" . | fromYaml).items -}}
{{- $keys := dict -}}
{{- $defaults := 0 -}}
{{- range $index, $model := $models -}}
{{- $at := printf "models[%d] (%s)" $index .name -}}
{{- if hasKey $keys .key -}}
{{- fail (printf "%s: the name is used twice, or its first 20 characters differ from those of %s only in punctuation or upper and lower case; give each model a name whose first 20 characters are unique" $at (get $keys .key)) -}}
{{- end -}}
{{- $_ := set $keys .key .name -}}
{{- if .default -}}{{- $defaults = add $defaults 1 -}}{{- end -}}
{{- $most := ternary .autoscaling.max .replicas .autoscaling.enabled -}}
{{- if eq .engine "vllm" -}}
{{- if and (gt (int .tensorParallelism) (int .gpus)) -}}
{{- fail (printf "%s: tensorParallelism is %d and gpus is %d; set gpus to what one replica needs" $at (int .tensorParallelism) (int .gpus)) -}}
{{- end -}}
{{- if and .gpus .tensorParallelism (ne (int .tensorParallelism) (int .gpus)) -}}
{{- fail (printf "%s: %d of %d GPUs would be unused; set tensorParallelism to gpus, or leave it out" $at (sub (int .gpus) (int .tensorParallelism)) (int .gpus)) -}}
{{- end -}}
{{- if and (not .model) (not $v.image.demo) -}}
{{- fail (printf "%s: set model to a hub id or a folder, or image.demo to true for the demo model" $at) -}}
{{- end -}}
{{- if and (not .gpus) (not (hasKey (index $v.models $index) "gpus")) (not $v.image.demo) -}}
{{- fail (printf "%s: set gpus to the number of GPUs that one replica needs, or to 0 to run the model on the CPU" $at) -}}
{{- end -}}
{{- if and .cache.predownload (not .cache.enabled) -}}
{{- fail (printf "%s: cache.predownload needs a volume; set cache.enabled to true" $at) -}}
{{- end -}}
{{- if and .cache.enabled (gt (int $most) 1) (not .cache.existingClaim) (ne .cache.accessMode "ReadWriteMany") -}}
{{- fail (printf "%s: %d replicas can't share a %s volume; set cache.accessMode to ReadWriteMany, cache.enabled to false, or replicas to 1" $at (int $most) .cache.accessMode) -}}
{{- end -}}
{{- else if eq .engine "openai" -}}
{{- if or (not .openai.baseUrl) (not .model) -}}
{{- fail (printf "%s: set openai.baseUrl to the endpoint's base URL (without chat/completions), and model to the model's name at the endpoint" $at) -}}
{{- end -}}
{{- if and $egressOn (not .egress) -}}
{{- fail (printf "%s: network policies are on, so nothing could reach %s; set egress to its CIDR and port, such as [{cidr: 0.0.0.0/0, port: 443}]" $at .openai.baseUrl) -}}
{{- end -}}
{{- else if not .answers -}}
{{- fail (printf "%s: set answers to the answers of the scripted engine (docs/scripted-engine.md)" $at) -}}
{{- end -}}
{{- if and (ne .engine "vllm") .gpus -}}
{{- fail (printf "%s: the engine %s doesn't use GPUs; remove gpus" $at .engine) -}}
{{- end -}}
{{- if .autoscaling.enabled -}}
{{- if not $v.monitoring.prometheusUrl -}}
{{- fail (printf "%s: autoscaling needs metrics from Prometheus; set monitoring.prometheusUrl, such as http://prometheus-operated.monitoring:9090" $at) -}}
{{- end -}}
{{- if gt (int .autoscaling.min) (int .autoscaling.max) -}}
{{- fail (printf "%s: autoscaling.min is %d and autoscaling.max is %d; set max to at least min" $at (int .autoscaling.min) (int .autoscaling.max)) -}}
{{- end -}}
{{- /* AXIA_GATEWAY_REPLICA_COMPLETIONS is 128. What waits in the gateway's queue is not in the ScaledObject's query. */ -}}
{{- $sent := int (dig "replica_completions" 128 .limits) -}}
{{- if le $sent (int .autoscaling.completionsPerReplica) -}}
{{- fail (printf "%s: the gateway sends at most %d completions to a replica, so more than autoscaling.completionsPerReplica (%d) are never counted; set completionsPerReplica below limits.replica_completions" $at $sent (int .autoscaling.completionsPerReplica)) -}}
{{- end -}}
{{- end -}}
{{- if and .inferencePool.enabled (not .inferencePool.endpointPicker) -}}
{{- fail (printf "%s: set inferencePool.endpointPicker to the name of the picker's Service" $at) -}}
{{- end -}}
{{- end -}}
{{- if gt (int $defaults) 1 -}}
{{- fail "models: only one can be the default; leave default out of the others" -}}
{{- end -}}
{{- range $name := list "gateway" "http" "scoring" -}}
{{- $own := get $v $name -}}
{{- if and $own.autoscaling.enabled (gt (int $own.autoscaling.min) (int $own.autoscaling.max)) -}}
{{- fail (printf "%s.autoscaling: min is %d and max is %d; set max to at least min" $name (int $own.autoscaling.min) (int $own.autoscaling.max)) -}}
{{- end -}}
{{- end -}}
{{- with $v.retrieval -}}
{{- if .enabled -}}
{{- if and (ne .store "external") .externalUrl -}}
{{- fail (printf "retrieval: store is %s, but externalUrl is only used with store external; set store to external, or leave externalUrl out" .store) -}}
{{- end -}}
{{- if and (eq .store "external") (not .externalUrl) -}}
{{- fail "retrieval: set externalUrl to the gRPC address of your Qdrant, such as http://qdrant:6334" -}}
{{- end -}}
{{- if and (eq .store "embedded") (gt (int .replicas) 1) -}}
{{- fail "retrieval: the embedded store supports only one replica, because only one process can open its files; set replicas to 1, or store to qdrant" -}}
{{- end -}}
{{- if and (ne .store "embedded") (not .pictures) -}}
{{- fail "retrieval: with a Qdrant server, images need a store that all replicas share; set retrieval.pictures to its URL, such as s3://bucket/pictures" -}}
{{- end -}}
{{- if and (not .encoder) (not $v.image.demo) -}}
{{- fail "retrieval: set encoder, such as ViT-B-32/laion2b_s34b_b79k, or image.demo to true for the demo CLIP" -}}
{{- end -}}
{{- if and (eq .store "external") $egressOn (not .egress) -}}
{{- fail "retrieval: network policies are on, so it could not reach externalUrl; set egress to its CIDR and port" -}}
{{- end -}}
{{- if and (eq .store "qdrant") (gt (int $v.qdrant.replicationFactor) (int $v.qdrant.replicas)) -}}
{{- fail (printf "qdrant: replicationFactor is %d and there are %d peers; set replicas to at least replicationFactor" (int $v.qdrant.replicationFactor) (int $v.qdrant.replicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $v.tls.enabled -}}
{{- if and $v.tls.certManager.enabled (or $v.tls.existingSecret $v.tls.existingSecrets) -}}
{{- fail "tls: cert-manager makes a Secret for each component; set certManager.enabled to false, or leave existingSecret and existingSecrets empty" -}}
{{- end -}}
{{- range $holder, $_ := $v.tls.existingSecrets -}}
{{- if not (has $holder (list "gateway" "http" "inference" "retrieval" "scoring")) -}}
{{- fail (printf "tls.existingSecrets: there is no component %s; name gateway, http, inference, retrieval or scoring" $holder) -}}
{{- end -}}
{{- end -}}
{{- $without := list -}}
{{- range (include "axia.components" . | fromYaml).items -}}
{{- $holder := ternary .key "inference" (has .key (list "gateway" "http" "scoring" "retrieval")) -}}
{{- if not (get $v.tls.existingSecrets $holder) -}}{{- $without = append $without $holder -}}{{- end -}}
{{- end -}}
{{- if and (not $v.tls.existingSecret) (not $v.tls.certManager.enabled) $without -}}
{{- fail (printf "tls: set existingSecret to a Secret with tls.crt, tls.key and ca.crt, or existingSecrets for each component (%s has none), or certManager.enabled to true" ($without | uniq | join ", ")) -}}
{{- end -}}
{{- if and $v.tls.certManager.enabled (not $v.tls.certManager.issuer) -}}
{{- fail "tls: set certManager.issuer to the name of an issuer" -}}
{{- end -}}
{{- end -}}
{{- with $v.telemetry.otlp -}}
{{- if and .endpoint (not (regexMatch "^(http://[^/@ ]+:[0-9]+|https://[^/@ ]+)/?$" .endpoint)) -}}
{{- fail (printf "telemetry.otlp: endpoint is %s; set it to a collector's address for OTLP over gRPC with its port, such as http://otel-collector.monitoring:4317" (regexReplaceAll "//[^/]*@" .endpoint "//…@")) -}}
{{- end -}}
{{- if and .endpoint $egressOn (not .namespace) (not .egress) -}}
{{- fail "telemetry.otlp: network policies are on, so nothing could reach the collector; set namespace to the namespace of the collector's Pods, or egress to the collector's CIDR and port" -}}
{{- end -}}
{{- if and (not .endpoint) (or .namespace .egress .existingSecret .caSecret) -}}
{{- fail "telemetry.otlp: set endpoint to the collector's address, or leave namespace, egress, existingSecret and caSecret out" -}}
{{- end -}}
{{- if and .caSecret (hasPrefix "http://" .endpoint) -}}
{{- fail (printf "telemetry.otlp: endpoint is %s, which doesn't use TLS; start it with https://, or leave caSecret out" .endpoint) -}}
{{- end -}}
{{- end -}}
{{- if and $v.loadTest.enabled $v.keys.existingSecret (not $v.loadTest.existingSecret) -}}
{{- fail "loadTest: the gateway requires an API key; set loadTest.existingSecret to a Secret with a key that has the role detect" -}}
{{- end -}}
{{- with $v.expose.ingress -}}
{{- if .enabled -}}
{{- if not .host -}}{{- fail "expose.ingress: set host" -}}{{- end -}}
{{- if not $v.http.enabled -}}{{- fail "expose.ingress: the Ingress serves the HTTP API; set http.enabled to true" -}}{{- end -}}
{{- if and (not .tlsSecret) (not .plaintext) -}}
{{- fail "expose.ingress: set tlsSecret to an existing Secret with the certificate, or plaintext to true to serve images unencrypted" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.expose.gatewayApi.enabled (not $v.expose.gatewayApi.gateway) -}}
{{- fail "expose.gatewayApi: set gateway to the name of a Gateway" -}}
{{- end -}}
{{- end -}}
