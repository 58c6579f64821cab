"""Losses from the log-probabilities of tokens, for what TRL's supervised trainer has no loss for.

ILLUME (equation 1) adds a loss of answers and `b` times one of rationales, a mean over the tokens of each. TRL has no
weights of rows or sources, and an interleaved data set gives `b` in expectation only. So every step holds both in fixed
numbers, and each mean is over the whole step, however it is cut into batches and processes.

BLIP-2 is trained by this too: TRL takes the states of a model below its language head from a part that BLIP-2 does not
have.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final  # Any: TRL and transformers type their classes in part

IS_RATIONALE: Final = "is_rationale"
"""The column that says whether the completion of a row is a rationale."""


def has_backbone(model: Any) -> bool:
    """Whether TRL finds the part of a model whose states its language head reads."""
    return model.base_model is not model


def make_token_loss_trainer(arguments: dict[str, Any], weight: float | None) -> Any:
    """TRL's supervised trainer, made with `arguments`, with the loss of this module.

    `weight` is ILLUME's b, None for one mean over all tokens.
    """
    import torch
    from trl.trainer.sft_trainer import SFTTrainer

    class TokenLossTrainer(SFTTrainer):
        """The mean over the tokens of answers, and `weight` times that over those of rationales."""

        loss_is_scaled_for_ga: Any = True  # each mean is over all batches of a step

        def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> Any:
            """Tokens of answers and of rationales in all batches of a step, of all processes: (2,)."""
            counts = torch.stack([_token_counts(batch) for batch in batch_samples]).sum(0).to(device)
            return self.accelerator.reduce(counts, "sum")

        def compute_loss(
            self,
            model: Any,
            inputs: Any,
            return_outputs: bool = False,  # noqa: ARG002 - of the library
            num_items_in_batch: Any = None,
        ) -> Any:
            counts = _token_counts(inputs) if num_items_in_batch is None else num_items_in_batch
            is_rationale = _kinds_of(inputs).to(inputs["labels"].device)
            inputs = {name: value for name, value in inputs.items() if name != IS_RATIONALE}
            losses = token_losses(model, inputs, is_fused=is_fused).sum(1)
            means = [losses[kind].sum() / count.clamp(min=1) for kind, count in _each(is_rationale, counts)]
            self._note(model, inputs, means)
            loss = means[0] + (1.0 if weight is None else weight) * means[1]
            # Gradients are averaged over processes, while the counts are of all of them.
            return loss * (1 if num_items_in_batch is None else self.accelerator.num_processes)

        def _note(self, model: Any, inputs: Any, means: Sequence[Any]) -> None:
            """For the log: tokens so far, and both means, whose parts in the batches of a step add up."""
            is_training = model.training
            mode = "train" if is_training else "eval"
            if is_training:
                self._total_train_tokens += int(self.accelerator.reduce(inputs["attention_mask"].sum(), "sum"))
                self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
            if weight is not None:
                parts = self.current_gradient_accumulation_steps if is_training else 1
                for name, mean in zip(("answer_loss", "rationale_loss"), means, strict=True):
                    self._metrics[mode][name].append(float(self.accelerator.reduce(mean.detach(), "sum")) * parts)

    is_fused = has_backbone(arguments["model"])
    trainer = TokenLossTrainer(**arguments)
    if weight is not None:
        trainer.data_collator = _with_kinds(trainer.data_collator)
    return trainer


def token_losses(model: Any, inputs: Any, *, is_fused: bool) -> Any:
    """Minus the log-probability of each token from the second on: (rows, length - 1), 0 where it carries no loss.

    `is_fused` has TRL's head work them out, which needs less memory than all logits and a model with a backbone.
    """
    import torch

    labels = inputs["labels"]
    rest = {name: value for name, value in inputs.items() if name != "labels"}
    if is_fused:
        return -model(**rest, labels=labels, fused_lm_head=True).log_probs
    logits = model(**rest).logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:], reduction="none")


def _with_kinds(collate: Any) -> Callable[[list[dict[str, Any]]], Any]:
    import torch

    def collated(examples: list[dict[str, Any]]) -> Any:
        batch = collate(examples)
        batch[IS_RATIONALE] = torch.tensor([bool(example[IS_RATIONALE]) for example in examples])
        return batch

    return collated


def _kinds_of(inputs: Any) -> Any:
    import torch

    kinds = inputs.get(IS_RATIONALE)
    return torch.zeros(len(inputs["labels"]), dtype=torch.bool) if kinds is None else kinds


def _token_counts(inputs: Any) -> Any:
    """Tokens that carry loss in rows of answers and in rows of rationales: (2,), integers."""
    import torch

    tokens = (inputs["labels"][:, 1:] != -100).sum(1)
    is_rationale = _kinds_of(inputs).to(tokens.device)
    return torch.stack([tokens[~is_rationale].sum(), tokens[is_rationale].sum()])


def _each(is_rationale: Any, counts: Any) -> Iterator[tuple[Any, Any]]:
    yield ~is_rationale, counts[0]
    yield is_rationale, counts[1]
