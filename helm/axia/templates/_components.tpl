{{- /* A model's entry with the defaults that it doesn't replace. `mergeOverwrite` would lose zeros and false. */ -}}
{{- define "axia.model" -}}
{{- $merged := deepCopy .root.Values.modelDefaults -}}
{{- range $name, $value := .entry -}}
{{- if and (kindIs "map" $value) (has $name (list "cache" "openai" "autoscaling" "inferencePool")) -}}
{{- range $inner, $own := $value -}}
{{- $_ := set (index $merged $name) $inner $own -}}
{{- end -}}
{{- else -}}
{{- $_ := set $merged $name $value -}}
{{- end -}}
{{- end -}}
{{- $_ := set $merged "key" (include "axia.modelKey" .entry.name) -}}
{{- toYaml $merged -}}
{{- end -}}

{{- /* The Secret with a component's certificate: its own, the one of all, or cert-manager's. */ -}}
{{- define "axia.tlsSecret" -}}
{{- $tls := .root.Values.tls -}}
{{- $holder := ternary .key "inference" (has .key (list "gateway" "http" "scoring" "retrieval")) -}}
{{- get $tls.existingSecrets $holder | default $tls.existingSecret | default (printf "%s-%s-tls" (include "axia.fullname" .root) .key) -}}
{{- end -}}

{{- /* All models, as a YAML list under `items`. */ -}}
{{- define "axia.models" -}}
{{- $items := list -}}
{{- range .Values.models -}}
{{- $items = append $items (include "axia.model" (dict "root" $ "entry" .) | fromYaml) -}}
{{- end -}}
{{- toYaml (dict "items" $items) -}}
{{- end -}}

{{- /*
What the one workload template is looped over, as a YAML list under `items`: a component's name, image and program, its
ports, its own settings, and the values that say how its Pods run.
*/ -}}
{{- define "axia.components" -}}
{{- $full := include "axia.fullname" . -}}
{{- $v := .Values -}}
{{- $items := list -}}
{{- $common := dict "kind" "Deployment" "protocol" "grpc" "tmp" "1Gi" "startSeconds" 300 "volumes" (list) "mounts" (list) "secrets" (list) -}}

{{- $env := dict
  "AXIA_GATEWAY_MODELS" "/etc/axia/routing/models.toml"
  "AXIA_GATEWAY_SCORING" (ternary (printf "%s-scoring:50053" $full) "" $v.scoring.enabled)
  "AXIA_GATEWAY_RETRIEVAL" (ternary (printf "%s-retrieval:50052" $full) "" $v.retrieval.enabled) -}}
{{- $items = append $items (merge (dict "key" "gateway" "image" "gateway" "module" "gateway" "prefix" "AXIA_GATEWAY_" "port" 50050 "metricsPort" 9100
  "values" $v.gateway "env" $env
  "volumes" (list (dict "name" "routing" "configMap" (dict "name" (printf "%s-routing" $full))))
  "mounts" (list (dict "name" "routing" "mountPath" "/etc/axia/routing" "readOnly" true))) $common) -}}

{{- if $v.http.enabled -}}
{{- $items = append $items (merge (dict "key" "http" "image" "http" "module" "gateway.http" "prefix" "AXIA_HTTP_" "port" 8080 "metricsPort" 9104
  "protocol" "http" "values" $v.http "env" (dict "AXIA_HTTP_GATEWAY" (printf "%s-gateway-headless:50050" $full))) $common) -}}
{{- end -}}

{{- if $v.scoring.enabled -}}
{{- $items = append $items (merge (dict "key" "scoring" "image" "scoring" "module" "services.scoring" "prefix" "AXIA_SCORING_" "port" 50053 "metricsPort" 9103
  "values" $v.scoring "env" (dict)) $common) -}}
{{- end -}}

{{- if $v.retrieval.enabled -}}
{{- $env := dict "AXIA_RETRIEVAL_DATA" "/data" "HF_HOME" "/tmp/hub" -}}
{{- with $v.retrieval.encoder -}}{{- $_ := set $env "AXIA_RETRIEVAL_ENCODER" . -}}{{- end -}}
{{- with $v.retrieval.pictures -}}{{- $_ := set $env "AXIA_RETRIEVAL_PICTURES" . -}}{{- end -}}
{{- $secrets := list -}}
{{- if ne $v.retrieval.store "embedded" -}}
{{- $_ := set $env "AXIA_RETRIEVAL_QDRANT_URL" (ternary (printf "http://%s-qdrant:6334" $full) $v.retrieval.externalUrl (eq $v.retrieval.store "qdrant")) -}}
{{- if eq $v.retrieval.store "qdrant" -}}
{{- $_ := set $env "AXIA_RETRIEVAL_QDRANT_SHARD_NUMBER" (toString (int $v.qdrant.shards)) -}}
{{- $_ := set $env "AXIA_RETRIEVAL_QDRANT_REPLICATION_FACTOR" (toString (int $v.qdrant.replicationFactor)) -}}
{{- end -}}
{{- with $v.retrieval.apiKeySecret -}}
{{- $secrets = append $secrets (dict "env" "AXIA_RETRIEVAL_QDRANT_API_KEY" "name" . "key" $v.retrieval.apiKeySecretKey) -}}
{{- end -}}
{{- end -}}
{{- if $v.hub.offline -}}{{- $_ := set $env "HF_HUB_OFFLINE" "1" -}}{{- end -}}
{{- $items = append $items (merge (dict "key" "retrieval" "image" (ternary "demo" "retrieval" $v.image.demo) "module" "services.retrieval" "prefix" "AXIA_RETRIEVAL_"
  "port" 50052 "metricsPort" 9102 "values" $v.retrieval "env" $env "secrets" $secrets "startSeconds" 600
  "kind" (ternary "StatefulSet" "Deployment" (eq $v.retrieval.store "embedded"))
  "claim" (ternary (dict "name" "data" "persistence" $v.retrieval.persistence) (dict) (eq $v.retrieval.store "embedded"))
  "volumes" (ternary (list) (list (dict "name" "data" "emptyDir" (dict "sizeLimit" $v.retrieval.persistence.size))) (eq $v.retrieval.store "embedded"))
  "mounts" (list (dict "name" "data" "mountPath" "/data"))) $common) -}}
{{- end -}}

{{- range (include "axia.models" . | fromYaml).items -}}
{{- $env := dict
  "AXIA_INFERENCE_ENGINE" .engine
  "AXIA_INFERENCE_MODEL_NAME" .name
  "AXIA_INFERENCE_MAX_QUEUE" (toString (int .maxQueue)) -}}
{{- $volumes := list -}}
{{- $mounts := list -}}
{{- $secrets := list -}}
{{- if eq .engine "scripted" -}}
{{- $env = omit $env "AXIA_INFERENCE_MODEL_NAME" -}}
{{- $_ := set $env "AXIA_INFERENCE_ANSWERS" "/etc/axia/answers/answers.yaml" -}}
{{- $volumes = append $volumes (dict "name" "answers" "configMap" (dict "name" (printf "%s-%s" $full .key))) -}}
{{- $mounts = append $mounts (dict "name" "answers" "mountPath" "/etc/axia/answers" "readOnly" true) -}}
{{- else if eq .engine "openai" -}}
{{- $_ := set $env "AXIA_INFERENCE_MODEL" .model -}}
{{- $_ := set $env "AXIA_INFERENCE_OPENAI_BASE_URL" .openai.baseUrl -}}
{{- $_ := set $env "AXIA_INFERENCE_OPENAI_CONCURRENCY" (toString (int .openai.concurrency)) -}}
{{- with .revision -}}{{- $_ := set $env "AXIA_INFERENCE_REVISION" . -}}{{- end -}}
{{- if .openai.existingSecret -}}
{{- $secrets = append $secrets (dict "env" "AXIA_INFERENCE_OPENAI_API_KEY" "name" .openai.existingSecret "key" .openai.secretKey) -}}
{{- end -}}
{{- else -}}
{{- $_ := set $env "AXIA_INFERENCE_MAX_RUNNING" (toString (int .maxRunning)) -}}
{{- $_ := set $env "AXIA_INFERENCE_DTYPE" .dtype -}}
{{- with .model -}}{{- $_ := set $env "AXIA_INFERENCE_MODEL" . -}}{{- end -}}
{{- with .revision -}}{{- $_ := set $env "AXIA_INFERENCE_REVISION" . -}}{{- end -}}
{{- with .quantization -}}{{- $_ := set $env "AXIA_INFERENCE_QUANTIZATION" . -}}{{- end -}}
{{- if .maxModelLen -}}{{- $_ := set $env "AXIA_INFERENCE_MAX_MODEL_LEN" (toString (int .maxModelLen)) -}}{{- end -}}
{{- if .gpus -}}
{{- $_ := set $env "AXIA_INFERENCE_TENSOR_PARALLEL_SIZE" (toString (int (.tensorParallelism | default .gpus))) -}}
{{- else if .kvCacheGiB -}}
{{- $_ := set $env "AXIA_INFERENCE_KV_CACHE_GIB" (toString .kvCacheGiB) -}}
{{- end -}}
{{- if or $v.hub.offline .cache.predownload -}}{{- $_ := set $env "AXIA_INFERENCE_OFFLINE" "true" -}}{{- end -}}
{{- $_ := set $env "HF_HOME" (ternary "/cache/hub" "/tmp/hub" .cache.enabled) -}}
{{- $_ := set $env "VLLM_CACHE_ROOT" (ternary "/cache/vllm" "/tmp/vllm" .cache.enabled) -}}
{{- $_ := set $env "TRITON_CACHE_DIR" "/tmp/triton" -}}
{{- $_ := set $env "TORCHINDUCTOR_CACHE_DIR" "/tmp/inductor" -}}
{{- $volumes = append $volumes (dict "name" "shm" "emptyDir" (dict "medium" "Memory" "sizeLimit" .shm)) -}}
{{- $mounts = append $mounts (dict "name" "shm" "mountPath" "/dev/shm") -}}
{{- if .cache.enabled -}}
{{- $volumes = append $volumes (dict "name" "cache" "persistentVolumeClaim" (dict "claimName" (.cache.existingClaim | default (printf "%s-%s" $full .key)))) -}}
{{- $mounts = append $mounts (dict "name" "cache" "mountPath" "/cache") -}}
{{- end -}}
{{- if $v.hub.existingSecret -}}
{{- $secrets = append $secrets (dict "env" "HF_TOKEN" "name" $v.hub.existingSecret "key" $v.hub.secretKey) -}}
{{- end -}}
{{- end -}}
{{- $image := "inference-remote" -}}
{{- if eq .engine "vllm" -}}
{{- $image = ternary "inference-cuda" (ternary "demo" "inference-cpu" $v.image.demo) (gt (int .gpus) 0) -}}
{{- end -}}
{{- $items = append $items (merge (dict "key" .key "model" .name "image" $image "module" "services.inference" "prefix" "AXIA_INFERENCE_" "port" 50051 "metricsPort" 9101
  "values" . "env" $env "secrets" $secrets "volumes" $volumes "mounts" $mounts "tmp" .tmp "startSeconds" .startSeconds
  "gpus" .gpus "strategy" .strategy "answers" (ternary .answers "" (eq .engine "scripted"))) $common) -}}
{{- end -}}
{{- toYaml (dict "items" $items) -}}
{{- end -}}
