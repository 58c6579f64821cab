"""How often each label was seen in a run, as the choice of regions takes it for a prior.

Only what was kept is counted, for nothing else is in a run: the run to count is a pilot on some hundred images whose
choice of regions was told to keep all (`docs/regions.md`).
"""

from collections.abc import Iterator
from pathlib import Path

from ostensive.errors import SettingsError
from ostensive.files import write_text
from ostensive.records import Verbalization
from ostensive.run.folder import RunFolder
from verbalizers.choice import AREA_LABEL
from verbalizers.frequencies import Frequencies, count_labels, frequency_lines


def run_frequencies(run: Path | str, *, out: Path | None = None) -> Frequencies:
    """The labels of the regions in `run` and how often each comes; written to the file `out` as well, if there is one.

    Regions that no detector has named (`area`) have no label to count. Raises `SettingsError` where there is no run,
    where no image of it is verbalized yet, and where no region of it has a label.
    """
    folder = RunFolder(Path(run))
    if not folder.read_state():
        raise SettingsError(f"{run}: there is no run here; give the folder that was --out of `ostensive build`")
    if not folder.paths_of(Verbalization):
        raise SettingsError(f"{run}: no image of this run is verbalized yet; run `ostensive build` first")
    found = count_labels(label for label in _labels(folder) if label != AREA_LABEL)
    if not found.counts:
        raise SettingsError(
            f"{run}: no region of this run has a label; regions from pixels know none but faces, use a detector"
        )
    if out is not None:
        write_text(out, "".join(f"{line}\n" for line in frequency_lines(found)))
    return found


def _labels(folder: RunFolder) -> Iterator[str]:
    """The labels of all regions of the images that were verbalized, one column of a partition at a time."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for path in folder.paths_of(Verbalization):
        regions = pq.read_table(path, columns=["regions"], filters=[("outcome", "==", "kept")]).column("regions")
        yield from pc.struct_field(pc.list_flatten(regions), "label").to_pylist()
