"""Groups of images that look alike, from pairs of them: what is near something near is in the group too.

Only so does no pair lie across two groups. It can run away: pictures with little in them are near each other by
chance, and one such pair joins two groups. So a group that is larger than it may be is taken apart by leaving its
farthest pairs out, a bit of distance at a time, until it is small enough or only equal hashes are left.
"""

import numpy as np
import numpy.typing as npt

from ostensive.images.near_pairs import Pairs

Labels = npt.NDArray[np.int64]
_Kept = npt.NDArray[np.bool_]


def kept_pairs(count: int, pairs: Pairs, max_group: int) -> Pairs:
    """The pairs of `count` images that count, less those that would make a group of more than `max_group` images.

    The result does not depend on the order of images. Pairs that only embeddings found are left out first.
    """
    kept = np.ones(len(pairs), bool)
    # From far to near; -1, of embeddings alone, is the farthest.
    steps = sorted(set(pairs.distances[pairs.distances > 0].tolist()), reverse=True)
    for distance in [*([-1] if (pairs.distances < 0).any() else []), *steps]:
        labels = labels_of(count, _where(pairs, kept))
        sizes = np.bincount(labels, minlength=1)
        is_large = sizes[labels[pairs.first]] > max_group
        if not is_large.any():
            break
        kept &= ~(is_large & (pairs.distances == distance))
    return _where(pairs, kept)


def labels_of(count: int, pairs: Pairs) -> Labels:
    """The group of each of `count` images, numbered from 0 by their first members."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(pairs), np.int8), (pairs.first, pairs.second)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    _, firsts, numbers = np.unique(labels, return_index=True, return_inverse=True)
    ranks = np.empty(len(firsts), np.int64)
    ranks[np.argsort(firsts)] = np.arange(len(firsts))
    return np.asarray(ranks[numbers], dtype=np.int64)


def _where(pairs: Pairs, kept: _Kept) -> Pairs:
    return Pairs(pairs.first[kept], pairs.second[kept], pairs.distances[kept])
