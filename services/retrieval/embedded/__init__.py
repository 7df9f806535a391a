"""The vector store in this process: pictures and vectors on disk, and Qdrant Edge as their HNSW index."""
