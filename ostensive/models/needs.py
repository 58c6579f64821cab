"""What a section of a recipe needs before it can work: models, files, packages and keys, as plain records.

Settings say what they need (`Settings.needs`), without an import of any library, and `ostensive doctor` looks for it. A
record says nothing of where a thing lies on this machine; that is the doctor's work.
"""

from dataclasses import dataclass
from typing import Literal

NeedKind = Literal["hub", "open_clip", "torchvision", "folder", "file", "packaged", "package", "server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNeed:
    """One thing a section cannot work without. By `kind`, `name` is:

    - `hub`: what `from_pretrained` takes, a name on the Hugging Face Hub or a folder;
    - `open_clip`: a model name as open_clip takes it, with `weights` its pretrained tag or a file;
    - `torchvision`: a model of torchvision, with `weights` a tag of its weights or a file;
    - `folder` and `file`: a path, empty for a file that is not set, with `hint` saying what to do;
    - `packaged`: an importable module that brings the model along;
    - `package`: an importable module that the user installs, with `hint` saying how;
    - `server`: the model's name as its server knows it, with `address` and `key_variable`.
    """

    role: str  # what it is for, as people read it: "concepts", "region captions", "teacher"
    kind: NeedKind
    name: str
    revision: str | None = None  # of a Hub model: branch, tag or commit; None takes the main branch
    weights: str | None = None
    device: str | None = None  # of a model here, as set, e.g. "cuda:1"; None where the best there is will be taken
    address: str | None = None  # of a server: its base URL; None takes OPENAI_BASE_URL, or OpenAI's own
    key_variable: str | None = None  # the environment variable that has to hold a key; None where none is needed
    hint: str | None = None  # what to do when it is missing
