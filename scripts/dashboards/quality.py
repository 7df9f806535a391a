"""The dashboard of what each model answers."""

from scripts.dashboards.panels import MODEL, RATE, Dashboard, Panel, Query, mean, rate

QUALITY = Dashboard(
    "quality",
    "axia: quality by model",
    True,
    (
        (
            "Detections",
            (
                Panel(
                    "Share that abstains", "The completions of an image don't agree.",
                    (
                        Query(
                            rate("axia_gateway_detections_total", "model", f'{MODEL},outcome="abstained"')
                            + " / " + rate("axia_gateway_detections_total", "model", MODEL),
                            "{{model}}", "abstentions",
                        ),
                    ), "percentunit", 1,
                ),
                Panel(
                    "Agreement", "Mean share of the completions in the largest group.",
                    (Query(mean("axia_gateway_agreement", "model", MODEL), "{{model}}"),), "percentunit", 1,
                ),
                Panel(
                    "Agreement, by share of detections", "Detections with an agreement up to the value.",
                    (
                        Query(
                            rate("axia_gateway_agreement_bucket", "le", MODEL)
                            + " / ignoring(le) group_left "
                            + f"sum(rate(axia_gateway_agreement_count{{{MODEL}}}{RATE}))",
                            "up to {{le}}",
                        ),
                    ), "percentunit", 1,
                ),
                Panel(
                    "Coverage drift", "Evidence that a calibrated model answers another share; a change from 1 on.",
                    (
                        Query(
                            f"max by (model, direction) (axia_gateway_coverage_drift{{{MODEL}}})",
                            "{{model}}, {{direction}}", "calibrated",
                        ),
                    ), "none", 1.5,
                ),
                Panel(
                    "Response types", "Share of the completions by their most probable type.",
                    (
                        Query(
                            rate("axia_gateway_response_types_total", "model, type", MODEL)
                            + " / on (model) group_left "
                            + rate("axia_gateway_response_types_total", "model", MODEL),
                            "{{model}} {{type}}",
                        ),
                    ), "percentunit", 1,
                ),
                Panel(
                    "How completions end", "length: cut at the bound of tokens.",
                    (
                        Query(
                            rate("axia_gateway_completions_total", "model, finish_reason", MODEL),
                            "{{model}} {{finish_reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Tokens of a completion", "Mean.",
                    (
                        Query(
                            rate("axia_gateway_tokens_total", "model", MODEL)
                            + " / " + rate("axia_gateway_completions_total", "model", MODEL),
                            "{{model}}",
                        ),
                    ),
                ),
                Panel(
                    "Cut short by a deadline", "Share of detections.",
                    (
                        Query(
                            rate("axia_gateway_partial_total", "model", MODEL)
                            + " / " + rate("axia_gateway_detections_total", "model", MODEL),
                            "{{model}}", "deadlines",
                        ),
                    ), "percentunit", 1,
                ),
                Panel(
                    "Parts that are missing", "Answers without groups, types, values, alignment or scores.",
                    (Query(rate("axia_gateway_missing_total", "part"), "{{part}}", "errors"),), "reqps",
                ),
            ),
        ),
        (
            "Studies",
            (
                Panel(
                    "Preference: verdicts", "refusal and unparsed answers say nothing of the model's values.",
                    (
                        Query(
                            rate("axia_gateway_preference_judgements_total", "model, outcome", MODEL),
                            "{{model}} {{outcome}}", "studies",
                        ),
                    ),
                ),
                Panel(
                    "Interest: decisions", "Of images judged as a persona.",
                    (
                        Query(
                            rate("axia_gateway_interest_judgements_total", "model, decision", MODEL),
                            "{{model}} {{decision}}", "studies",
                        ),
                    ),
                ),
                Panel(
                    "Asked again", "Questions of a study that had to be put again.",
                    (Query(rate("axia_gateway_asked_again_total", "model, reason", MODEL), "{{model}} {{reason}}",
                           "studies"),),
                ),
            ),
        ),
        (
            "Reading of answers",
            (
                Panel(
                    "Texts read", "computed by the reader model, or remembered.",
                    (Query(rate("axia_scoring_reader_texts_total", "task, source"), "{{task}} {{source}}"),),
                ),
                Panel(
                    "Calls of scoring", "The gateway's own; failed ones leave parts out.",
                    (
                        Query(
                            rate("axia_gateway_scoring_calls_total", "method, outcome"), "{{method}} {{outcome}}"
                        ),
                    ), "reqps",
                ),
                Panel(
                    "Misses by class", "Of answers compared with people's.",
                    (Query(rate("axia_scoring_misalignments_total", "misalignment_class"), "{{misalignment_class}}",
                           "studies"),),
                ),
            ),
        ),
    ),
)  # fmt: skip
