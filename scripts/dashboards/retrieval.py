"""The dashboard of images and searches."""

from scripts.dashboards.panels import HERE, RATE, Dashboard, Panel, Query, quantile, rate

RETRIEVAL = Dashboard(
    "retrieval",
    "axia: retrieval",
    False,
    (
        (
            "Searches",
            (
                Panel(
                    "Searches", "By what was given.",
                    (Query(rate("axia_retrieval_searches_total", "kind"), "{{kind}}", "retrieval"),), "reqps",
                ),
                Panel(
                    "Time per search, by stage", "95% spend less in the stage.",
                    (
                        Query(
                            quantile(
                                0.95, "axia_retrieval_stage_seconds", "stage", f'{HERE},stage=~"decode|encode|search"'
                            ),
                            "{{stage}}", "retrieval",
                        ),
                    ), "s",
                ),
                Panel(
                    "Store", "1 while the vector store and the image store answer.",
                    (Query(f"axia_retrieval_store_available{{{HERE}}}", "{{pod}}", "retrieval"),), "short", 1,
                ),
            ),
        ),
        (
            "Images",
            (
                Panel(
                    "Images", "That searches reach, and of these those under an HNSW index.",
                    (
                        Query(f"max(axia_retrieval_images{{{HERE}}})", "all", "retrieval"),
                        Query(f"max(axia_retrieval_indexed_images{{{HERE}}})", "under an index", "retrieval"),
                    ),
                ),
                Panel(
                    "Taken in", "Acknowledged, a second; and under way.",
                    (
                        Query(rate("axia_retrieval_ingested_total", "outcome"), "{{outcome}}", "retrieval"),
                        Query(f"sum(axia_retrieval_ingesting{{{HERE}}})", "under way", "retrieval"),
                    ),
                ),
                Panel(
                    "Time per image, by stage", "95% spend less in the stage.",
                    (
                        Query(
                            quantile(
                                0.95, "axia_retrieval_stage_seconds", "stage",
                                f'{HERE},stage=~"prepare|embed|store|index"',
                            ),
                            "{{stage}}", "retrieval",
                        ),
                    ), "s",
                ),
                Panel(
                    "Refused", "By reason.",
                    (Query(rate("axia_retrieval_rejected_total", "reason"), "{{reason}}", "errors"),),
                ),
                Panel(
                    "Deleted", "A second.",
                    (Query(f"sum(rate(axia_retrieval_deleted_total{{{HERE}}}{RATE}))", "", "retrieval"),),
                ),
                Panel(
                    "Building and re-indexing", "1 while an index is built; share of the latest re-index that is done.",
                    (
                        Query(f"max(axia_retrieval_building{{{HERE}}})", "building", "retrieval"),
                        Query(f"max(axia_retrieval_reindexing{{{HERE}}})", "re-indexing", "retrieval"),
                        Query(
                            f"max(axia_retrieval_reindex_done{{{HERE}}})"
                            f" / max(axia_retrieval_reindex_total{{{HERE}}})",
                            "done", "retrieval",
                        ),
                    ), "short", 1,
                ),
            ),
        ),
    ),
)  # fmt: skip
