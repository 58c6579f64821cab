"""The one table of methods whose claims are measured."""

from collections.abc import Mapping
from typing import Final

from evidence import illume, lskd, selfsynthx, stic
from evidence.records import Method

METHODS: Final[Mapping[str, Method]] = {
    method.name: method for method in (lskd.METHOD, illume.METHOD, stic.METHOD, selfsynthx.METHOD)
}
