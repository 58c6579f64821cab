"""Which parts of a model are trained."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final  # Any: transformers types its models in part

from ostensive.errors import SettingsError
from students.training.settings import LoraSettings, StudentSettings, TrainedPart

if TYPE_CHECKING:
    from torch import nn

_CONVOLUTIONS: Final = ("Conv1D",)  # GPT-2's linear layers
_NAMES: Final[Mapping[TrainedPart, tuple[str, ...]]] = {
    # LLaVA and its like; BLIP-2; Idefics and SmolVLM; Qwen.
    "projector": ("multi_modal_projector", "language_projection", "connector", "merger"),
    "qformer": ("qformer",),
    "vision": ("vision_tower", "vision_model", "visual"),
}
"""What models call their parts, by the end of a module's name."""
_QUERIES: Final = "query_tokens"  # a weight of its own beside BLIP-2's Q-Former, which reads it


def language_linears(model: Any) -> list[str]:
    """The full names of the linear layers of the language model, without the layer that writes words.

    Full names, because a name such as `q_proj` is that of a layer of the vision tower too.
    """
    from torch import nn

    decoder = model.get_decoder()
    prefix = name_of(model, decoder)
    head = model.get_output_embeddings()
    return [
        f"{prefix}.{name}" if prefix else name
        for name, module in decoder.named_modules()
        if (isinstance(module, nn.Linear) or type(module).__name__ in _CONVOLUTIONS) and module is not head
    ]


def name_of(model: Any, part: "nn.Module") -> str:
    """The dotted name of a part of a model; raises `SettingsError` where it is none of its parts."""
    for name, module in model.named_modules():
        if module is part:
            return str(name)
    raise SettingsError("the language model is no part of the model, which this training cannot handle")


def make_trainable(model: Any, settings: StudentSettings) -> Any:
    """Freezes what is not trained; returns the `peft.LoraConfig` of the adapters, None where there are none.

    Raises `SettingsError` for parts that the model does not have.
    """
    if settings.lora is not None:
        return _adapter_config(model, settings.lora, settings.train)
    trained = {id(weight) for part in settings.train or ("language",) for weight in _weights(model, part)}
    for weight in model.parameters():
        weight.requires_grad_(id(weight) in trained)
    return None


def trained_share(model: Any) -> float:
    """The share of weights that are trained, 0-1."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return float(sum(count for count, is_trained in counts if is_trained) / sum(count for count, _ in counts))


def _adapter_config(model: Any, settings: LoraSettings, train: Sequence[TrainedPart]) -> Any:
    from peft import LoraConfig

    missing = [name for name in settings.also_train if not _ends(model, name)]
    if missing:
        raise SettingsError(
            f"lora.also_train: the model has no module {missing[0]}; its outermost ones are {_outermost(model)}"
        )
    # By the ends of their names, as peft compares them and as a user writes `also_train`.
    whole = (*settings.also_train, *(name.rpartition(".")[2] for part in train for name in _modules(model, part)))
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=language_linears(model),
        modules_to_save=list(dict.fromkeys(whole)) or None,
        task_type="CAUSAL_LM",
    )


def _weights(model: Any, part: TrainedPart) -> Iterator["nn.Parameter"]:
    if part == "language":
        yield from model.get_decoder().parameters()
        yield from model.get_output_embeddings().parameters()
        return
    for name in _modules(model, part):
        yield from model.get_submodule(name).parameters()
    if part == "qformer":
        yield from (weight for name, weight in model.named_parameters() if name.rpartition(".")[2] == _QUERIES)


def _modules(model: Any, part: TrainedPart) -> list[str]:
    """The outermost modules of a part, by their full names; raises `SettingsError` where there are none."""
    found = [name for end in _NAMES[part] for name in _ends(model, end)]
    if not found:
        raise SettingsError(
            f"train: the model has no {part}, which others call {' or '.join(_NAMES[part])}; its outermost modules are"
            f" {_outermost(model)}"
        )
    return [name for name in found if not any(name.startswith(f"{other}.") for other in found)]


def _ends(model: Any, name: str) -> Sequence[str]:
    return [one for one, _ in model.named_modules() if one == name or one.endswith(f".{name}")]


def _outermost(model: Any) -> str:
    """The names of the modules to choose from: those within one that is all of the model are named too."""
    names = {name.rpartition(".")[2] for name, _ in model.named_children()}
    inner = getattr(model, getattr(model, "base_model_prefix", ""), None)
    names |= {name for name, _ in inner.named_children()} if inner is not None else set()
    return ", ".join(sorted(names))
