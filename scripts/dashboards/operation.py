"""The dashboard of whoever operates the suite."""

from scripts.dashboards.panels import HERE, Dashboard, Panel, Query, quantile, rate

_DETECT = 'method=~".*axia.v1.GatewayService/(Stream)?DetectValues"'

OPERATION = Dashboard(
    "operation",
    "axia: operation",
    False,
    (
        (
            "Answers",
            (
                Panel(
                    "Detections by status", "Calls of DetectValues that ended, a second.",
                    (Query(rate("axia_rpc_requests_total", "code", f"{HERE},{_DETECT}"), "{{code}}"),), "reqps",
                ),
                Panel(
                    "Time of a detection", "At the gateway, from the request to the answer.",
                    (
                        Query(quantile(0.5, "axia_gateway_stage_seconds", "", f'{HERE},stage="total"'), "half"),
                        Query(quantile(0.95, "axia_gateway_stage_seconds", "", f'{HERE},stage="total"'), "95%"),
                    ), "s",
                ),
                Panel(
                    "Where the time goes", "95% of the detections spend less in the stage.",
                    (Query(quantile(0.95, "axia_gateway_stage_seconds", "stage"), "{{stage}}"),), "s",
                ),
                Panel(
                    "Calls refused", "By reason. QUEUE_TOO_LONG, QUEUE_FULL and TOO_MANY_CALLS: add replicas.",
                    (Query(rate("axia_rpc_rejected_total", "method, reason"), "{{method}} {{reason}}", "errors"),),
                    "reqps",
                ),
                Panel(
                    "HTTP requests by status", "499: the caller left first.",
                    (Query(rate("axia_http_requests_total", "status"), "{{status}}", "http"),), "reqps",
                ),
                Panel(
                    "Frames of cameras", "superseded: a newer frame came before the answer.",
                    (
                        Query(rate("axia_gateway_watch_frames_total", "outcome"), "{{outcome}}", "cameras"),
                        Query(f"sum(axia_gateway_watchers{{{HERE}}})", "cameras"),
                    ),
                ),
                Panel(
                    "Age of a frame at its answer", "Of cameras.",
                    (
                        Query(quantile(0.5, "axia_gateway_watch_age_seconds", ""), "half", "cameras"),
                        Query(quantile(0.95, "axia_gateway_watch_age_seconds", ""), "95%", "cameras"),
                    ), "s",
                ),
            ),
        ),
        (
            "Models",
            (
                Panel(
                    "Completions waiting and running", "Of all replicas of a model.",
                    (
                        Query(f"sum by (service) (axia_inference_waiting{{{HERE}}})", "{{service}} waiting"),
                        Query(f"sum by (service) (axia_inference_running{{{HERE}}})", "{{service}} running"),
                    ),
                ),
                Panel(
                    "Replicas that can be called", "As the gateways see them.",
                    (
                        Query(
                            f"sum by (model) (max by (model, address) (axia_gateway_replica_available{{{HERE}}}))",
                            "{{model}}",
                        ),
                        Query(f"sum by (service) (axia_inference_loading{{{HERE}}})", "{{service}} loading"),
                    ),
                ),
                Panel(
                    "Tokens", "Prompts, images included, and completions, per second.",
                    (Query(rate("axia_inference_tokens_total", "service, kind"), "{{service}} {{kind}}"),),
                ),
                Panel(
                    "Key-value cache", "vLLM's. Full: completions are put back and computed again.",
                    (
                        Query(f"axia_inference_kv_cache_usage{{{HERE}}}", "{{service}} {{pod}}", "vllm"),
                        Query(rate("axia_inference_preemptions_total", "service"), "{{service}} put back/s", "vllm"),
                    ),
                ),
                Panel(
                    "Prefix and image caches", "Share that was found.",
                    (
                        Query(
                            rate("axia_inference_prefix_cache_tokens_total", "service", f'{HERE},outcome="hit"')
                            + " / " + rate("axia_inference_prefix_cache_tokens_total", "service"),
                            "{{service}} prefixes", "vllm",
                        ),
                        Query(
                            rate("axia_inference_picture_cache_total", "service", f'{HERE},outcome="hit"')
                            + " / " + rate("axia_inference_picture_cache_total", "service"),
                            "{{service}} images", "vllm",
                        ),
                    ), "percentunit", 1,
                ),
                Panel(
                    "Calls tried again", "At another replica, before the model began to answer.",
                    (Query(rate("axia_gateway_retries_total", "model, reason"), "{{model}} {{reason}}", "errors"),),
                    "reqps",
                ),
            ),
        ),
        (
            "Servers",
            (
                Panel(
                    "Calls in flight", "By method.",
                    (Query(f"sum by (method) (axia_rpc_in_flight{{{HERE}}})", "{{method}}"),),
                ),
                Panel(
                    "Processor", "Cores in use.",
                    (Query(rate("process_cpu_seconds_total", "service, pod"), "{{service}} {{pod}}"),),
                ),
                Panel(
                    "Memory", "Resident.",
                    (
                        Query(
                            f"sum by (service, pod) (process_resident_memory_bytes{{{HERE}}})", "{{service}} {{pod}}"
                        ),
                    ), "bytes",
                ),
            ),
        ),
    ),
)  # fmt: skip
