"""What boxes prove: statements about sides, sizes, counts and shared space, held to the boxes of the regions."""

from critics.geometry.deciding import Finding, findings

__all__ = ["Finding", "findings"]
