"""`ostensive doctor`: what a recipe needs, whether it is on this machine, and on what device it would run.

Nothing is loaded, downloaded or spent. The sections of the recipe say what they need; equal needs are told once.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ostensive.errors import SettingsError
from ostensive.models.devices import resolve_device
from ostensive.models.lookup import Found, look_up
from ostensive.models.needs import ModelNeed
from ostensive.run.options import DEFAULT_OPTIONS, BuildOptions
from ostensive.settings import Settings

_ON_A_DEVICE = ("hub", "open_clip", "torchvision", "folder", "packaged")
_UNITS = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))


@dataclass(frozen=True, slots=True)
class Finding:
    """One need and what there is of it."""

    need: ModelNeed
    settings: tuple[str, ...]  # the sections of the recipe that have it, dotted
    found: Found
    device: str | None  # where it would run; None where it runs on no device of this machine


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that a recipe needs, in the order of its sections."""

    recipe: str
    profile: str
    findings: tuple[Finding, ...]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return all(finding.found.problem is None for finding in self.findings)


def doctor(
    recipe: str, *, options: BuildOptions = DEFAULT_OPTIONS, environment: Mapping[str, str] | None = None
) -> Diagnosis:
    """What `recipe` (a built-in name or a YAML file) needs, and what there is of it here.

    `environment` None is the process's. Raises `SettingsError` for a recipe that is not whole and valid.
    """
    from builders.table import load

    known = os.environ if environment is None else environment
    resolved = load(recipe, profile=options.profile, assignments=options.settings)
    wanted: dict[ModelNeed, list[tuple[str, str]]] = {}
    for path, section in sections(resolved):
        for need in section.needs():
            # One model may be needed in several roles; it is one thing to have all the same.
            wanted.setdefault(replace(need, role=""), []).append((need.role, path))
    findings = tuple(_finding(need, users, known) for need, users in wanted.items())
    return Diagnosis(resolved.recipe, resolved.profile, findings)


def sections(settings: Settings, path: str = "") -> Iterator[tuple[str, Settings]]:
    """`settings` and every section in it, with its dotted path; the places in a list count from 0."""
    yield path or "recipe", settings
    for name in type(settings).model_fields:
        below = f"{path}.{name}" if path else name
        value = getattr(settings, name)
        items = enumerate(value) if isinstance(value, list | tuple) else [(None, value)]
        for place, item in items:
            if isinstance(item, Settings):
                yield from sections(item, below if place is None else f"{below}.{place}")


def _finding(need: ModelNeed, users: Sequence[tuple[str, str]], environment: Mapping[str, str]) -> Finding:
    found = look_up(need, environment)
    device = None
    if need.kind in _ON_A_DEVICE:
        try:
            device = resolve_device(need.device or "auto")
        except SettingsError as error:
            found = replace(found, problem=found.problem or str(error))
    roles = ", ".join(dict.fromkeys(role for role, _ in users))
    return Finding(replace(need, role=roles), tuple(path for _, path in users), found, device)


def doctor_lines(diagnosis: Diagnosis) -> Iterator[str]:
    """A line for each need and, under what is missing, what to do."""
    missing = [finding for finding in diagnosis.findings if finding.found.problem is not None]
    width = max((len(finding.need.role) for finding in diagnosis.findings), default=0) + 2
    for finding in diagnosis.findings:
        found = finding.found
        facts = [
            "there" if found.problem is None else "missing",
            None if found.size_bytes is None else size_words(found.size_bytes),
            None if finding.device is None else f"on {finding.device}",
            None if found.commit is None else f"commit {found.commit[:12]}",
        ]
        yield f"{finding.need.role:<{width}}{need_name(finding.need)}: {', '.join(fact for fact in facts if fact)}"
        if found.problem is not None:
            yield f"{'':<{width}}{found.problem} ({', '.join(finding.settings)})"
    if not diagnosis.findings:
        yield f"recipe {diagnosis.recipe}, profile {diagnosis.profile}: needs no model, package or key"
    elif missing:
        yield f"recipe {diagnosis.recipe}, profile {diagnosis.profile}: {len(missing)} of these are missing"
    else:
        yield f"recipe {diagnosis.recipe}, profile {diagnosis.profile}: everything is there"


def doctor_values(diagnosis: Diagnosis) -> dict[str, Any]:  # Any: JSON values
    """The same for programs."""
    return {
        "recipe": diagnosis.recipe,
        "profile": diagnosis.profile,
        "complete": diagnosis.is_complete,
        "needs": [
            {
                **{key: value for key, value in asdict(finding.need).items() if key != "device"},
                **asdict(finding.found),
                "settings": list(finding.settings),
                "device": finding.device,
            }
            for finding in diagnosis.findings
        ],
    }


def need_name(need: ModelNeed) -> str:
    """A need as people call it: `open_clip ViT-L-14-336 (openai)`, `server gpt-4o`."""
    kind = {"hub": "model", "folder": "model", "packaged": "packaged model"}.get(need.kind, need.kind)
    details = ", ".join(detail for detail in (need.weights, need.revision) if detail)
    return f"{kind} {need.name}{f' ({details})' if details else ''}"


def size_words(size_bytes: int) -> str:
    """A size in the unit that leaves a number people can read: `1.7 GB`."""
    for unit, name in _UNITS:
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{size_bytes} B"
