"""Small trees, vectors, and which codeword quantises what."""

import torch

from framecast.layers.quantise import ResidualTree


def tree_of(layers: int, size: int, width: int, seed: int = 0) -> ResidualTree:
    """A tree with codewords of about the size of normal vectors, smaller in deeper layers."""
    tree = ResidualTree(layers, size, width)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for depth, codebook in enumerate(tree.codebooks):
            codebook.copy_(torch.randn(codebook.shape, generator=generator) / 2**depth)
    return tree


def vectors_of(count: int, width: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def assigned(tree: ResidualTree, vectors: torch.Tensor) -> dict[tuple[int, int, int], list]:
    """Residuals by layer, parent and index of the codeword that quantises them."""
    out: dict[tuple[int, int, int], list] = {}
    for row in tree(vectors).indices.tolist():
        for layer in range(tree.layers):
            parent = sum(k * tree.size ** (layer - 1 - i) for i, k in enumerate(row[:layer]))
            out.setdefault((layer, parent, row[layer]), [])
    for vector, row in zip(vectors, tree(vectors).indices.tolist(), strict=True):
        left, parent = vector, 0
        for layer, k in enumerate(row):
            out[layer, parent, k].append(left)
            left = left - tree.codebooks[layer][parent, k].detach()
            parent = parent * tree.size + k
    return out
