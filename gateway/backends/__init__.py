"""The services behind the gateway, reached over gRPC: models with their replicas, retrieval, scoring."""
