"""Which parts of a model are trained."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final  # Any: transformers types its models in part

from ostensive.errors import SettingsError
from students.training.settings import LoraSettings

if TYPE_CHECKING:
    from torch import nn

_CONVOLUTIONS: Final = ("Conv1D",)  # GPT-2's linear layers


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


def adapter_config(model: Any, settings: LoraSettings) -> Any:
    """The `peft.LoraConfig` for a model; raises `SettingsError` for modules that it does not have."""
    from peft import LoraConfig

    missing = [name for name in settings.also_train if not _ends(model, name)]
    if missing:
        known = sorted({name.rpartition(".")[2] for name, module in model.named_children() if name})
        raise SettingsError(
            f"lora.also_train: the model has no module {missing[0]}; its outermost ones are {', '.join(known)}"
        )
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=language_linears(model),
        modules_to_save=list(settings.also_train) or None,
        task_type="CAUSAL_LM",
    )


def freeze_all_but_language(model: Any) -> None:
    """Leaves only the language model to be trained."""
    trained = {id(parameter) for parameter in model.get_decoder().parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in trained)


def trained_share(model: Any) -> float:
    """The share of weights that are trained, 0-1."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return float(sum(count for count, is_trained in counts if is_trained) / sum(count for count, _ in counts))


def _ends(model: Any, name: str) -> Sequence[str]:
    return [one for one, _ in model.named_modules() if one == name or one.endswith(f".{name}")]
