"""How often each label was seen before: the prior by which the choice of regions favours what is rare (LSKD, 2.1).

The counts come from a file that is there before the run. Counted along while choosing, what an image comes
to would depend on which images came before it, thus on their order, the partitions and every resumed run.
`ostensive frequencies` counts the labels of a small pilot run whose choice of regions was set to keep all
(`docs/regions.md`), for what was not kept is not in a run.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ostensive.errors import SettingsError
from ostensive.files import write_text
from ostensive.fingerprint import fingerprint
from ostensive.records import AREA_LABEL, Verbalization
from ostensive.run.folder import RunFolder
from verbalizers.label_lists import folded

_MAX_DIGITS = 15  # more than anybody counts, and still a number that powers are taken of


@dataclass(frozen=True, slots=True)
class Frequencies:
    """Counts by label, the labels folded (`label_lists.folded`), so that case and white space make no difference."""

    counts: Mapping[str, int] = field(default_factory=dict)  # 0 or more each

    def rarity(self, label: str, exponent: float) -> float:
        """`(1 + n) ** -exponent` for a label seen n times, in (0, 1]; a label that was never seen has n = 0, thus 1.

        The 1 that is added keeps labels apart that were seen never and once without letting the first outweigh
        everything. With no counts at all every label has 1. LSKD publishes no formula; this is our own.
        """
        return float((1 + self.counts.get(folded(label), 0)) ** -exponent)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the counts, whatever their order."""
        return fingerprint(dict(self.counts))


NO_FREQUENCIES = Frequencies()


def load_frequencies(path: str) -> Frequencies:
    """The counts in a file; raises `SettingsError` for one that is missing, not UTF-8 text or not of that form."""
    file = Path(path)
    try:
        text = file.read_text("utf-8-sig")  # some editors put a byte order mark before the first label
    except FileNotFoundError as error:
        raise SettingsError(
            f"frequencies: there is no file {path}; `ostensive frequencies RUN --out {file.name}` makes one"
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"frequencies: {path} is not UTF-8 text (byte {error.start}); convert it to UTF-8"
        ) from error
    except OSError as error:
        raise SettingsError(f"frequencies: {path} cannot be read: {error.strerror or error}") from error
    return parse_frequencies(text, path)


def parse_frequencies(text: str, origin: str) -> Frequencies:
    """The counts in `text`: a label, a tab and a count a line; empty lines are passed over.

    Raises `SettingsError` where there are no labels, where a line is of another form, and where two have one label.
    """
    counts: dict[str, int] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"frequencies: {origin}, line {number}"
        name, tab, given = line.rpartition("\t")
        label, count = folded(name), given.strip()
        if not tab or not label:
            raise SettingsError(f"{place}: a label, a tab and a count are expected, not {line.strip()!r:.60}")
        if not (count.isascii() and count.isdigit() and len(count) <= _MAX_DIGITS):
            raise SettingsError(f"{place}: the count of {label!r} is a whole number of 0 or more, not {count!r:.40}")
        if label in counts:
            raise SettingsError(
                f"{place}: {label!r} has a count in line {lines[label]} already; a label has one, whatever its case"
            )
        counts[label], lines[label] = int(count), number
    if not counts:
        raise SettingsError(f"frequencies: {origin} holds no labels; a label, a tab and a count a line are expected")
    return Frequencies(counts)


def count_labels(labels: Iterable[str]) -> Frequencies:
    """How often each label comes, labels that differ in case or white space alone counted as one; not empty ones."""
    counts = Counter(folded(label) for label in labels)
    return Frequencies({label: count for label, count in counts.items() if label})


def frequency_lines(frequencies: Frequencies) -> list[str]:
    """The counts as `parse_frequencies` reads them, most frequent first and equals by name."""
    ordered = sorted(frequencies.counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"{label}\t{count}" for label, count in ordered]


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
