"""What a run remembers of earlier tasks: images, embeddings, and the search over them."""
